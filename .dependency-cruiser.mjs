import { builtinModules } from 'node:module';
import { ROOMS } from './rooms.mjs';

const escaped = (text) => text.replaceAll(/[.*+?^${}()|[\]\\/]/g, String.raw`\$&`);
/** Matches a room or a file below `src`, in which `star` stands for the name of a feature. */
const inRoom = (room, star = '[^/]+') =>
  `^src/${escaped(room).replaceAll(String.raw`\*`, star)}${/\.\w+$/.test(room) ? '$' : '/'}`;
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
  const notIn = inside.map((part) => inRoom(part));
  const from = { path: inRoom(room, '([^/]+)'), ...(notIn.length > 0 ? { pathNot: notIn } : {}) };
  const allowed = (rooms) => rooms.map((one) => inRoom(one, room.includes('*') ? '$1' : undefined));
  const rule = (name, to) => ({ name: `${room}: ${name}`, severity: 'error', comment: `It holds ${holds}.`, from, to });
  const own = room.includes('.') ? [] : [room];
  return [
    rule('type', {
      path: '^src/',
      pathNot: allowed([...own, ...values, ...types]),
      dependencyTypes: TYPES,
    }),
    rule('value', {
      path: '^src/',
      pathNot: allowed([...own, ...values]),
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
