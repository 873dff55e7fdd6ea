// What the example asks. `npm run generate` reads this file and writes a type for each document.

import { graphql } from './generated/gql.js';

export const FindProject = graphql(`
  query FindProject($name: String!) {
    projects(filter: { name: $name }) {
      nodes {
        id
      }
    }
  }
`);

export const CreateProject = graphql(`
  mutation CreateProject($name: String!) {
    createProject(input: { name: $name }) {
      project {
        id
      }
      errors {
        code
        message
      }
    }
  }
`);

export const ImportReport = graphql(`
  mutation ImportReport($input: ImportReportInput!) {
    importReport(input: $input) {
      task {
        id
      }
      errors {
        code
        message
      }
    }
  }
`);

export const FollowTask = graphql(`
  subscription FollowTask($task: ID!, $after: Int) {
    taskEvents(taskId: $task, after: $after) {
      seq
      phase
      status
      message
    }
  }
`);

export const AlertPage = graphql(`
  query AlertPage($project: ID!, $after: String) {
    project(id: $project) {
      alerts(first: 20, after: $after) {
        nodes {
          ...AlertLine
        }
        pageInfo {
          hasNextPage
          endCursor
        }
      }
    }
  }
`);

export const AlertLine = graphql(`
  fragment AlertLine on Alert {
    id
    severity
    ruleId
    file
    line
    title
  }
`);
