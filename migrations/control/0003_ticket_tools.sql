-- The tools that a task's plan names: a claim takes only tickets whose tools its worker has. An import
-- needs none, and neither does a ticket from before this column, which any worker took.
alter table control.ticket add column tools text[] not null default '{}';
