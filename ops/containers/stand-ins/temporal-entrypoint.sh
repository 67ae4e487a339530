#!/bin/sh
# As in the real image: listens on BIND_ON_IP, by default on the container's address, and tells other servers that address.
set -eu

own_address() { getent hosts "$(hostname)" | awk '{ print $1 }'; }

export BIND_ON_IP="${BIND_ON_IP:-$(own_address)}"
case $BIND_ON_IP in 0.0.0.0 | ::0) export TEMPORAL_BROADCAST_ADDRESS="${TEMPORAL_BROADCAST_ADDRESS:-$(own_address)}" ;; esac
exec temporal-server start
