// The GraphiQL page of Tamiz, bundled once with esbuild (README.md says how).
// The token is typed into the field above the editors; it never enters the URL and is kept nowhere. It goes with each
// request, and with the connection_init of each subscription, unless a tab's headers name another one.
import { GraphiQL } from 'graphiql';
import { createGraphiQLFetcher } from '@graphiql/toolkit';
import { useMemo, useState } from 'react';
import { createRoot } from 'react-dom/client';
import 'graphiql/graphiql.css';

const url = new URL('graphql', document.baseURI);
const subscriptionUrl = new URL(url);
subscriptionUrl.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';

// the queries of docs/graphql.md, from graphiql-examples.js
const examples = globalThis.tamizExamples ?? [];

function fetcherWith(token) {
  const fetcher = createGraphiQLFetcher({ url: url.href, subscriptionUrl: subscriptionUrl.href });
  if (token === '') {
    return fetcher;
  }
  return (request, options) =>
    fetcher(request, { ...options, headers: { Authorization: `Bearer ${token}`, ...options?.headers } });
}

const bar = { display: 'flex', gap: '0.5rem', alignItems: 'center', padding: '0.4rem 1rem', font: '14px sans-serif' };
const field = { flex: '0 1 32rem', padding: '0.2rem 0.4rem', font: '13px monospace' };

function Page() {
  const [typed, setTyped] = useState('');
  const [token, setToken] = useState('');
  const fetcher = useMemo(() => fetcherWith(token), [token]);
  const use = (event) => {
    event.preventDefault();
    setToken(typed.trim());
  };
  return (
    <div style={{ display: 'flex', flexDirection: 'column', height: '100%' }}>
      <form style={bar} onSubmit={use}>
        <label htmlFor="token">Token</label>
        <input
          id="token"
          style={field}
          type="password"
          autoComplete="off"
          placeholder="tmz_…"
          value={typed}
          onChange={(event) => setTyped(event.target.value)}
          onBlur={use}
        />
        <span>{token === '' ? 'needed for every request; stays in this page' : 'goes with every request of this page'}</span>
      </form>
      <div style={{ flex: 1, minHeight: 0 }}>
        <GraphiQL
          fetcher={fetcher}
          defaultTabs={examples}
          isHeadersEditorEnabled
          defaultEditorToolsVisibility="variables"
          shouldPersistHeaders={false}
        />
      </div>
    </div>
  );
}

createRoot(document.getElementById('graphiql')).render(<Page />);
