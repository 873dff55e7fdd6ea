select json_build_object('data', json_build_object('node', json_build_object(
    'id', id, 'status', status, 'scanType', type, 'createdAt', created_at, 'finishedAt', finished_at)))
from tenant.task where tenant_id = '{tenant}' and id = '{task}';
