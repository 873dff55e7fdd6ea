// What a console in Relay would ask: a paginated list that can be refetched, a node by its id, a mutation that updates
// the list, a scan that is followed. The compiler checks it against the schema; nothing of it is run.

import { graphql } from 'react-relay';

export const AlertLine = graphql`
  fragment consoleAlertLine on Alert {
    id
    severity
    state
    title
    file
    line
    isOverdue
  }
`;

export const AlertList = graphql`
  fragment consoleAlertList on Project
  @refetchable(queryName: "consoleAlertListPageQuery")
  @argumentDefinitions(
    count: { type: "Int", defaultValue: 20 }
    cursor: { type: "String" }
    filter: { type: "AlertFilter" }
  ) {
    id
    name
    severityCounts {
      critical
      high
    }
    alerts(first: $count, after: $cursor, filter: $filter) @connection(key: "AlertList_alerts", filters: ["filter"]) {
      edges {
        node {
          ...consoleAlertLine
        }
      }
      pageInfo {
        hasNextPage
        endCursor
      }
    }
  }
`;

export const AlertListOfNode = graphql`
  query consoleAlertListQuery($project: ID!) {
    node(id: $project) {
      __typename
      ...consoleAlertList @arguments(count: 50) @alias(as: "project")
    }
  }
`;

export const AnyNode = graphql`
  query consoleNodeQuery($id: ID!) {
    node(id: $id) {
      id
      ... on Task {
        status
        findings(first: 10) @connection(key: "Node_findings") {
          edges {
            node {
              id
              title
            }
          }
        }
      }
      ...consoleAlertLine @alias(as: "alert")
    }
  }
`;

export const TaskList = graphql`
  query consoleTaskListQuery($after: String) {
    tasks(first: 20, after: $after) @connection(key: "TaskList_tasks") {
      edges {
        node {
          id
          status
          project {
            ...consoleAlertList
          }
        }
      }
    }
  }
`;

export const Dismiss = graphql`
  mutation consoleDismissMutation($input: DismissAlertsInput!) {
    dismissAlerts(input: $input) {
      changed
      alerts {
        ...consoleAlertLine
      }
      errors {
        code
        message
        path
      }
    }
  }
`;

export const Follow = graphql`
  subscription consoleFollowSubscription($task: ID!, $after: Int) {
    taskEvents(taskId: $task, after: $after) {
      seq
      phase
      status
      task {
        id
        status
      }
    }
  }
`;
