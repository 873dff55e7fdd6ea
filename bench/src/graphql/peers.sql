-- What PostGraphile cannot make by itself: a project's counts, as the computed column that its manual recommends.
create type tenant.bench_severity_counts as (critical bigint, high bigint, medium bigint, low bigint, info bigint);
create function tenant.project_severity_counts(project tenant.project) returns tenant.bench_severity_counts
language sql stable as $$
    select row(count(*) filter (where severity = 4), count(*) filter (where severity = 3), count(*) filter (where severity = 2),
               count(*) filter (where severity = 1), count(*) filter (where severity = 0))::tenant.bench_severity_counts
    from tenant.finding where tenant_id = project.tenant_id and project_id = project.id
$$;
