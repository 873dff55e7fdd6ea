-- Who bears a token, in one statement of its own: each request asks. The tenant that the token claims is set for that
-- statement, so row-level security holds for what it reads, and for the note of when the token was last used. The plan
-- is made once per connection: making it takes longer than the reading.
create function tenant.caller_of(p_tenant uuid, p_hash bytea, p_noted_for double precision)
returns table (
    id uuid, hash bytea, name text, role text, expires_at timestamptz, tenant_name text,
    upload_bytes_max bigint, requests_per_minute bigint
)
language plpgsql set plan_cache_mode = force_generic_plan as $$
#variable_conflict use_column
declare
    used_at timestamptz;
begin
    perform set_config('tamiz.tenant_id', p_tenant::text, true);
    select k.id, k.hash, k.name, k.role, k.expires_at, t.name,
           coalesce((select value from control.tenant_quota q where q.tenant_id = t.id and q.name = 'upload-bytes'),
                    (select value from control.plan_quota q where q.plan = t.plan and q.name = 'upload-bytes')),
           coalesce((select value from control.tenant_quota q where q.tenant_id = t.id and q.name = 'requests-per-minute'),
                    (select value from control.plan_quota q where q.plan = t.plan and q.name = 'requests-per-minute')),
           k.last_used_at
    into id, hash, name, role, expires_at, tenant_name, upload_bytes_max, requests_per_minute, used_at
    from tenant.api_token k
    join control.tenant t on t.id = k.tenant_id
    where k.tenant_id = p_tenant and k.hash = p_hash
      and k.revoked_at is null and (k.expires_at is null or k.expires_at > now());
    if not found then return; end if;
    if used_at is null or used_at < now() - make_interval(secs => p_noted_for) then
        update tenant.api_token k set last_used_at = now() where k.tenant_id = p_tenant and k.id = caller_of.id;
    end if;
    return next;
end $$;

revoke all on function tenant.caller_of(uuid, bytea, double precision) from public;
grant execute on function tenant.caller_of(uuid, bytea, double precision) to tamiz_app;
