import { builtinModules } from 'node:module';
import { ROOMS } from './rooms.mjs';

const escaped = (text) => text.replaceAll(/[.*+?^${}()|[\]\\/]/g, String.raw`\$&`);
/** Matches a room or a file below `src`. */
const inRoom = (room) => `^src/${escaped(room).replaceAll(String.raw`\*`, '[^/]+')}${/\.\w+$/.test(room) ? '$' : '/'}`;
/** Whether a room is a part of another. */
const isInside = (part, whole) => {
  const [parts, wholes] = [part.split('/'), whole.split('/')];
  return parts.length > wholes.length && wholes.every((one, i) => one === parts[i] || parts[i] === '*');
};
const inPackage = (name) =>
  name === 'node'
    ? `^(?:node:)?(?:${builtinModules.map(escaped).join('|')})$`
    : `(?:^|/)node_modules/${escaped(name)}/`;

const TYPES = ['type-only', 'type-import'];

/** What a room may import: everything else is refused, by a rule with its name. */
function fence([room, { holds, values, types = [], packages }]) {
  const inside = Object.keys(ROOMS).filter((other) => other !== room && isInside(other, room));
  const from = { path: inRoom(room), ...(inside.length > 0 ? { pathNot: inside.map(inRoom) } : {}) };
  const rule = (name, to) => ({ name: `${room}: ${name}`, severity: 'error', comment: `It holds ${holds}.`, from, to });
  const own = room.includes('.') ? [] : [room];
  return [
    rule('type', {
      path: '^src/',
      pathNot: [...own, ...values, ...types].map(inRoom),
      dependencyTypes: TYPES,
    }),
    rule('value', {
      path: '^src/',
      pathNot: [...own, ...values].map(inRoom),
      dependencyTypesNot: TYPES,
    }),
    rule('package', {
      pathNot: ['^src/', String.raw`^package\.json$`, ...packages.map(inPackage)],
      dependencyTypesNot: TYPES,
    }),
  ];
}

/** @type {import('dependency-cruiser').IConfiguration} */
export default {
  forbidden: Object.entries(ROOMS).flatMap(fence),
  options: {
    // Types are imports, too.
    tsPreCompilationDeps: 'specify',
    tsConfig: { fileName: 'tsconfig.json' },
    doNotFollow: { path: 'node_modules' },
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'node', 'default', 'types'] },
  },
};
