/** Small enough for a laptop, as safe as PostgreSQL can be: what was accepted survives a crash. `alter system` may change the rest. */
export function settings(port: number): string {
  return `# Written by Zyndra at each start; "alter system" has the last word.
listen_addresses = '127.0.0.1'
port = ${port}
unix_socket_directories = ''   # A socket's path is limited to 107 bytes, a data folder's is not.
max_connections = 200
superuser_reserved_connections = 40     # The platform's: whatever add-ons hold, it gets in.
password_encryption = 'scram-sha-256'
authentication_timeout = 5s             # Who connects and says nothing holds a place until then.

shared_buffers = 32MB
work_mem = 4MB
maintenance_work_mem = 32MB
huge_pages = off
jit = off
io_method = sync
max_worker_processes = 4
max_logical_replication_workers = 0
max_parallel_workers_per_gather = 0
min_wal_size = 16MB
max_wal_size = 256MB

fsync = on
full_page_writes = on
synchronous_commit = on

log_destination = 'stderr'
logging_collector = off
log_line_prefix = '%m [%p] %q%u@%d '
log_min_duration_statement = 1s
log_lock_waits = on
log_temp_files = 64MB
log_checkpoints = off
log_parameter_max_length = 0            # Values may be secrets.
log_parameter_max_length_on_error = 0

timezone = 'UTC'
log_timezone = 'UTC'
lc_messages = 'C'
default_text_search_config = 'pg_catalog.english'
`;
}
