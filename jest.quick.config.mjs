import config from './jest.config.mjs';

/** @type {import('jest').Config} */
export default { ...config, projects: config.projects.filter(({ displayName }) => displayName === 'quick') };
