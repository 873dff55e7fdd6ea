-- Why a plugin made its task fail, and which limit it overstepped: {"reason": "plugin-deadline", "limit":
-- {"name": "deadline-seconds", "value": 300, "unit": "seconds"}}, see tamiz_core::plugin. Null where no plugin is to
-- blame. Read with the rows it stands in.
alter table tenant.task add column plugin_fault jsonb;
alter table tenant.task_attempt add column plugin_fault jsonb;
