import { hash } from 'node:crypto';
import type { Sha256 } from '../domain/delivery-id.ts';

/** Node's own, for where there is no sandbox. */
export const sha256: Sha256 = (text) => hash('sha256', text, 'hex');
