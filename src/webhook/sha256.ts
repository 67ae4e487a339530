import { hash } from 'node:crypto';
import type { Sha256 } from '../domain/delivery-id.ts';

/** Node's own implementation, for ids that are made outside the workflow sandbox. */
export const sha256: Sha256 = (text) => hash('sha256', text, 'hex');
