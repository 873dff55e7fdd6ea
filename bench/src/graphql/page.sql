select json_build_object('data', json_build_object('projects', json_build_object('nodes', json_agg(json_build_object(
    'id', p.id, 'name', p.name, 'severityCounts', s.counts, 'tasks', t.tasks) order by p.id desc))))
from (select id, name from tenant.project where tenant_id = '{tenant}' order by id desc limit 20) p
cross join lateral (
    select json_build_object('critical', count(*) filter (where severity = 4), 'high', count(*) filter (where severity = 3),
        'medium', count(*) filter (where severity = 2), 'low', count(*) filter (where severity = 1),
        'info', count(*) filter (where severity = 0)) as counts
    from tenant.finding where tenant_id = '{tenant}' and project_id = p.id) s
cross join lateral (
    select json_build_object('nodes', json_agg(json_build_object(
        'id', t.id, 'status', t.status, 'createdAt', t.created_at, 'findings', f.findings) order by t.id desc)) as tasks
    from (select id, status, created_at from tenant.task where tenant_id = '{tenant}' and project_id = p.id
          order by id desc limit 10) t
    cross join lateral (
        select json_build_object('nodes', json_agg(json_build_object('id', f.id, 'severity', f.severity, 'ruleId', c.rule_id,
            'title', c.title, 'file', c.file_path, 'line', c.line) order by f.severity desc, f.id desc)) as findings
        from (select id, severity, content_id from tenant.finding where tenant_id = '{tenant}' and task_id = t.id
              order by severity desc, id desc limit 10) f
        cross join lateral (select rule_id, title, file_path, line from tenant.finding_content
              where tenant_id = '{tenant}' and project_id = p.id and id = f.content_id limit 1) c) f) t;
