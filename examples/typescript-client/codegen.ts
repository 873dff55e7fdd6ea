// Reads the schema and the documents in source/, and writes their types to source/generated.
import type { CodegenConfig } from '@graphql-codegen/cli';

const config: CodegenConfig = {
  schema: process.env.TAMIZ_SCHEMA ?? '../../schema.graphql',
  importExtension: '.js',
  documents: ['source/**/*.ts', '!source/generated/**'],
  generates: {
    './source/generated/': {
      preset: 'client',
      presetConfig: { fragmentMasking: false },
      config: {
        useTypeImports: true,
        enumsAsTypes: true,
        strictScalars: true,
        scalars: { UUID: 'string', DateTime: 'string', Date: 'string', Duration: 'string', URL: 'string', BigInt: 'number', JSON: 'unknown' },
      },
    },
  },
};

export default config;
