-- Clients may choose the ids of their tasks, so an id is unique in its tenant only: a ticket of one
-- tenant must neither swallow nor betray the ticket of another. The key also serves the tenant's own
-- look-ups by task (enqueue, cancel, finish).
alter table control.ticket drop constraint ticket_pkey;
alter table control.ticket add primary key (tenant_id, task_id);
