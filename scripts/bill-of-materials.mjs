// Writes what the package is made of into lib: a bill of materials (CycloneDX) as npm makes it of package-lock.json, and the licences of all of it.
// Both are the same wherever and whenever they are made: they hold no time, no serial number, and nothing of this machine or its registry.
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './source-stamp.mjs';

/** What has no licence in its package.json, as its LICENSE file has it (test/supply-chain.test.ts looks). */
const STATED = { 'unionfs@4.6.0': 'Unlicense' };

/** The names of the packages that files are of. */
export function packagesOf(paths) {
  const names = paths.map((path) => /.*\bnode_modules[\\/]((?:@[^\\/]+[\\/])?[^\\/]+)/.exec(path)?.[1]);
  return [...new Set(names.filter((name) => name !== undefined))].map((name) => name.replace('\\', '/'));
}

/** @param bundled names of the packages whose code is in lib itself, by what of lib it is in */
export function writeBillOfMaterials(bundled) {
  const sbom = billOfMaterials(bundled);
  writeFileSync(join(root, 'lib', 'sbom.cdx.json'), `${JSON.stringify(sbom, null, 1)}\n`);
  writeFileSync(join(root, 'lib', 'THIRD_PARTY_LICENSES.txt'), licences(sbom.components));
}

function billOfMaterials(bundled) {
  const parameters = ['sbom', '--package-lock-only', '--sbom-format', 'cyclonedx'];
  const shell = process.platform === 'win32';
  const { error, status, stdout, stderr } = spawnSync('npm', parameters, {
    cwd: root,
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
    shell,
  });
  if (status !== 0) throw new Error(`npm sbom failed: ${error?.message ?? stderr}`);
  const all = JSON.parse(stdout);
  const ours = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  const own = all.metadata.component;
  const along = scopesAlong();
  // What is in lib comes along, whatever npm takes it for.
  const components = all.components
    .filter((one) => along.has(one['bom-ref']) || partsWith(bundled, one).length > 0)
    .map((one) => component({ ...one, scope: along.get(one['bom-ref']) ?? 'required' }, partsWith(bundled, one)))
    .sort(byRef);
  const kept = new Set(components.map((one) => one['bom-ref']));
  return {
    $schema: all.$schema,
    bomFormat: all.bomFormat,
    specVersion: all.specVersion,
    version: 1,
    // By its name: npm takes that of the folder.
    metadata: { component: { ...component(own, []), name: ours.name } },
    components,
    dependencies: all.dependencies
      .filter(({ ref }) => ref === own['bom-ref'] || kept.has(ref))
      .map(({ ref, dependsOn }) => ({ ref, dependsOn: dependsOn.filter((one) => kept.has(one)).sort() }))
      .sort((a, b) => (a.ref < b.ref ? -1 : 1)),
  };
}

/**
 * What is not for development only, and whether only some platforms need it, as package-lock.json says it of each place: npm sbom says it
 * of the first place where a version is.
 */
function scopesAlong() {
  const { packages } = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8'));
  const scopes = new Map();
  for (const [path, { version, dev, optional }] of Object.entries(packages)) {
    if (path === '' || dev === true) continue;
    const ref = `${path.replace(/^.*node_modules\//, '')}@${version}`;
    scopes.set(ref, optional === true && scopes.get(ref) !== 'required' ? 'optional' : 'required');
  }
  return scopes;
}

function partsWith(bundled, { 'bom-ref': ref, name }) {
  // Of two versions of a package, the one that lies at the top is the one that is bundled.
  const installed = () => JSON.parse(readFileSync(join(root, 'node_modules', name, 'package.json'), 'utf8')).version;
  return Object.keys(bundled).filter((part) => bundled[part].includes(name) && ref === `${name}@${installed()}`);
}

function component({ 'bom-ref': ref, type, name, version, scope, purl, hashes, licenses = [] }, parts) {
  const licence = STATED[ref];
  return {
    'bom-ref': ref,
    type,
    name,
    version,
    scope,
    purl,
    ...(hashes === undefined ? {} : { hashes }),
    licenses: licence === undefined ? licenses : [{ license: { id: licence } }],
    ...(parts.length === 0 ? {} : { properties: parts.map((value) => ({ name: 'audience-triggers:bundled', value })) }),
  };
}

/** A line for each package; and for those whose code is in lib, and so comes without their files, the text of the licence. */
function licences(components) {
  const lines = components.map(({ 'bom-ref': ref, licenses }) => `${ref}: ${licenceOf(licenses)}`);
  const texts = components
    .filter(({ properties }) => properties !== undefined)
    .map(({ 'bom-ref': ref, name, properties }) => {
      const parts = properties.map(({ value }) => value).join(', ');
      return `${'-'.repeat(80)}\n${ref} (${parts})\n\n${licenceText(name)}\n`;
    });
  return [
    'What comes with audience-triggers, each by its licence (SPDX); those for one platform are installed on that only.',
    '',
    ...lines,
    '',
    'Code of the following is part of the files of lib.',
    '',
    ...texts,
  ].join('\n');
}

function licenceOf(licenses) {
  return licenses.map(({ license, expression }) => expression ?? license.id ?? license.name).join(' AND ');
}

function licenceText(name) {
  const folder = join(root, 'node_modules', name);
  const file = readdirSync(folder).find((one) => /^licen[cs]e(\.(md|txt))?$/i.test(one));
  if (file === undefined) throw new Error(`${name} is bundled, and has no file with its licence.`);
  return readFileSync(join(folder, file), 'utf8').replaceAll('\r\n', '\n').trim();
}

function byRef(a, b) {
  return a['bom-ref'] < b['bom-ref'] ? -1 : 1;
}
