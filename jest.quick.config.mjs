import config from './jest.config.mjs';

const [quick] = config.projects;

/** Whatever needs no server. @type {import('jest').Config} */
export default { ...config, projects: [{ ...quick, testPathIgnorePatterns: [] }] };
