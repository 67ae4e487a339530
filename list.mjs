import { TIERS } from './test/tiers.mjs';
import { readdirSync } from 'node:fs';
const mine = /^(webhook|activities|cli|consumers|api|sources|client|config|local|ingests|temporal|worker|contract|tracing|console|domain)\//;
const slow = new Set(TIERS.slow);
console.log(readdirSync('test', { recursive: true }).filter((f) => f.endsWith('.test.ts') && mine.test(f) && !slow.has(f.replace('.test.ts', ''))).map((f) => 'test/' + f).join('\n'));
