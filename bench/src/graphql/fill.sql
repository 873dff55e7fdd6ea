-- Projects, tasks and findings as imports would have left them, for the tenants whose names are bench-1, bench-2 and so on.
-- Filled in by fill.rs: {big}, {projects_of_big}, {projects_of_small}, {tasks}, {findings}, {contents}.
--
-- Ids are numbers in the shape of UUIDv7, so they grow with time as real ones do. Rounds come one after the other over all
-- projects, so the rows of one task lie together and those of one project apart, as they do where scans take turns.

create function pg_temp.id(kind integer, n bigint) returns uuid language sql immutable as
$$ select ('01990000-0000-7' || lpad(to_hex(kind), 3, '0') || '-8000-' || lpad(to_hex(n), 12, '0'))::uuid $$;

create temporary table bench_project as
select t.id as tenant_id, row_number() over (order by i, number) as p, pg_temp.id(1, row_number() over (order by i, number)) as id
from (select id, substr(name, 7)::int as number from control.tenant where name ~ '^bench-\d+$') t,
     generate_series(1, case when number <= {big} then {projects_of_big} else {projects_of_small} end) i;
create temporary table bench_task as
select p.tenant_id, p.id as project_id, p.p, r as round, (r - 1) * (select count(*) from bench_project) + p.p as t,
       pg_temp.id(2, (r - 1) * (select count(*) from bench_project) + p.p) as id,
       date_trunc('hour', now()) - make_interval(days => {tasks} - r + 1) as at
from bench_project p, generate_series(1, {tasks}) r;
create temporary table bench_content as
select p.tenant_id, p.id as project_id, p.p, k, ((p.p - 1) * {contents} + k) as n,
       md5('content ' || p.p || ' ' || k)::uuid as id, sha256(('flaw ' || p.p || ' ' || k)::bytea) as fingerprint,
       (array[4, 3, 3, 3, 2, 2, 2, 2, 1, 0])[1 + k % 10]::smallint as severity,
       'src/module_' || k % 7 || '/file_' || k % 29 || '.py' as path, 1 + (k * 37 + p.p) % 4000 as line
from bench_project p, generate_series(0, {contents} - 1) k;
create index on bench_task (p);
create index on bench_content (p, k);
analyze bench_project, bench_task, bench_content;

insert into tenant.project (tenant_id, id, name) select tenant_id, id, 'project ' || p from bench_project;
insert into tenant.blob (tenant_id, storage_path, hash, size_bytes, created_at)
select tenant_id, 't/' || tenant_id || '/upload/bench-' || t, sha256(t::text::bytea), 64000, at from bench_task order by t;
insert into tenant.codeaudit_upload
    (tenant_id, id, project_id, file_name, media_type, storage_path, size_bytes, hash, created_at)
select tenant_id, pg_temp.id(3, t), project_id, 'semgrep.json', 'application/json',
       't/' || tenant_id || '/upload/bench-' || t, 64000, sha256(t::text::bytea), at
from bench_task order by t;
insert into tenant.task (tenant_id, id, project_id, type, status, payload, attempt, phase, event_seq, created_at, started_at,
    finished_at)
select tenant_id, id, project_id, 'codeaudit', 'completed',
       jsonb_build_object('source', jsonb_build_object('kind', 'report', 'upload_id', pg_temp.id(3, t)), 'options', '{}'::jsonb),
       1, 'done', 4, at, at + interval '1 second', at + interval '9 seconds'
from bench_task order by t;
update tenant.codeaudit_upload u set task_id = t.id from bench_task t
where u.tenant_id = t.tenant_id and u.id = pg_temp.id(3, t.t);
insert into tenant.task_attempt (tenant_id, task_id, attempt, worker_id, started_at, finished_at, outcome)
select tenant_id, id, 1, pg_temp.id(4, 1), at + interval '1 second', at + interval '9 seconds', 'completed'
from bench_task order by t;
insert into tenant.task_event (tenant_id, task_id, seq, status, phase, message, created_at)
select t.tenant_id, t.id, e.seq, e.status, e.phase, e.message, t.at + make_interval(secs => 2 * e.seq)
from bench_task t,
     (values (1, 'queued', 'queued', 'queued'), (2, 'running', 'preparing', 'preparing'),
             (3, 'running', 'converting', 'converting'), (4, 'completed', 'done', 'done')) e(seq, status, phase, message)
order by t.t, e.seq;

insert into tenant.finding_content (tenant_id, project_id, id, source_tool, rule_id, rule_name, severity, severity_raw,
    confidence, category, cwe, cve, title, message, remediation, location_kind, location_label, file_path, line, locations,
    refs, tags, extra)
select tenant_id, project_id, id, 'semgrep', 'py-rule-' || k % 23, 'Rule ' || k % 23, severity,
       (array['INFO', 'WARNING', 'WARNING', 'ERROR', 'ERROR'])[1 + severity], 2, 'security', array[89], '{}',
       'SQL statement built from a variable in step ' || k || '.',
       repeat('A value that a client controls reaches a place where it is not expected; bound parameters keep data and '
           'statement apart. ', 3),
       'Use bound parameters.', 'file', path, path, line,
       jsonb_build_array(jsonb_build_object('kind', 'file', 'path', path, 'start', jsonb_build_object('line', line, 'column', 5),
           'end', jsonb_build_object('line', line + 2, 'column', 31),
           'snippet', 'cursor.execute("select * from item where id = " + value_' || k || ')')),
       '["https://owasp.org/Top10/A03_2021-Injection", "https://cwe.mitre.org/data/definitions/89.html"]',
       '["owasp:A03:2021", "technology:python"]', '{"impact": "HIGH", "likelihood": "MEDIUM"}'
from bench_content order by n;

-- the scan of a round sees the contents from its own number on, so some come and some go
insert into tenant.finding (tenant_id, id, project_id, task_id, alert_id, content_id, source_tool, severity, fingerprint,
    fingerprint_version, expires_on, created_at)
select t.tenant_id, pg_temp.id(5, (t.t - 1) * {findings} + f), t.project_id, t.id, pg_temp.id(6, c.n), c.id, 'semgrep',
       c.severity, c.fingerprint, 2, '9999-12-31', t.at + interval '9 seconds'
from bench_task t
cross join generate_series(0, {findings} - 1) f
join bench_content c on c.p = t.p and c.k = (t.round + f) % {contents}
order by t.t, f;
insert into tenant.scan_result (tenant_id, id, task_id, summary, created_at, findings_expire_on)
select t.tenant_id, pg_temp.id(7, t.t), t.id,
       jsonb_build_object('findings', {findings}, 'occurrences', 0, 'records', {findings}, 'skipped', 0,
           'completeness', 'complete', 'coverage', 'whole', 'tool', 'semgrep', 'formats', jsonb_build_array('semgrep-json'),
           'by_severity', counts.by_severity, 'by_rule', counts.by_rule, 'by_file', counts.by_file,
           'diagnostics', '[]'::jsonb, 'diagnostics_dropped', 0),
       t.at + interval '9 seconds', '9999-12-31'
from bench_task t
cross join lateral (
    with seen as (select c.* from generate_series(0, {findings} - 1) f
                  join bench_content c on c.p = t.p and c.k = (t.round + f) % {contents})
    select (select jsonb_object_agg(word, (select count(*) from seen where seen.severity = rank))
            from (values (0, 'info'), (1, 'low'), (2, 'medium'), (3, 'high'), (4, 'critical')) words(rank, word)) as by_severity,
           (select jsonb_object_agg(rule, n) from (select 'py-rule-' || k % 23 as rule, count(*) as n from seen group by 1) r)
               as by_rule,
           (select jsonb_object_agg(path, n) from (select path, count(*) as n from seen group by 1) r) as by_file) counts
where t.round > {tasks} - 10
order by t.t;

insert into tenant.scan_scope (tenant_id, id, project_id, key, scan_type, tool, target, branch, environment, category,
    task_id, scanned_at, fingerprint_version)
select tenant_id, pg_temp.id(8, p), project_id, sha256(('scope ' || p)::bytea), 'codeaudit', 'semgrep', '', '', '', '', id,
       at + interval '9 seconds', 2
from bench_task where round = {tasks};
create temporary table bench_alert as
select c.*, pg_temp.id(6, c.n) as alert_id, pg_temp.id(8, c.p) as scope_id, seen.first_at, seen.last_at, seen.first_task,
       not seen.is_there as is_gone
from bench_content c
join lateral (
    select min(t.at) as first_at, max(t.at) as last_at, (array_agg(t.id order by t.round))[1] as first_task,
           bool_or(t.round = {tasks}) as is_there
    from bench_task t
    where t.p = c.p and (c.k - t.round % {contents} + {contents}) % {contents} < {findings}) seen on seen.first_at is not null;
insert into tenant.alert (tenant_id, id, project_id, kind, source_tool, content_id, fingerprint, fingerprint_version, state,
    severity, tool_severity, scope_id, first_seen_at, last_seen_at, first_task_id)
select tenant_id, alert_id, project_id, 'code', 'semgrep', id, fingerprint, 2, case when is_gone then 3 else 0 end, severity,
       severity, scope_id, first_at, case when is_gone then last_at end, first_task
from bench_alert order by n;
insert into tenant.alert_occurrence (tenant_id, alert_id, scope_id, place, fingerprint, content_id, line, first_seen_at,
    last_seen_at)
select tenant_id, alert_id, scope_id, '00000000-0000-0000-0000-000000000000', fingerprint, id, line, first_at,
       case when is_gone then last_at end
from bench_alert order by n;
insert into tenant.alert_event (tenant_id, alert_id, id, kind, task_id, after, created_at)
select tenant_id, alert_id, pg_temp.id(9, n), 'opened', first_task, '{"state": "open"}', first_at from bench_alert order by n;
insert into tenant.alert_count (tenant_id, project_id, state, severity, alerts)
select tenant_id, project_id, case when is_gone then 3 else 0 end, severity, count(*) from bench_alert group by 1, 2, 3, 4;
insert into tenant.alert_rule_count (tenant_id, project_id, tool, rule_id, alerts)
select a.tenant_id, a.project_id, c.source_tool, c.rule_id, count(*) from bench_alert a
join tenant.finding_content c on c.tenant_id = a.tenant_id and c.project_id = a.project_id and c.id = a.id
where not a.is_gone group by 1, 2, 3, 4;
insert into tenant.alert_day (tenant_id, project_id, day, severity, opened)
select tenant_id, project_id, (first_at at time zone 'UTC')::date, severity, count(*) from bench_alert group by 1, 2, 3, 4;
