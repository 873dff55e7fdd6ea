-- A lost attempt's time is counted until its worker was last heard, by the tenant's transaction that closes it.
grant select (heartbeat_at) on control.worker to tamiz_app;
