-- What must hold on every new connection; texts, because it goes without parameters. No parameters.
SELECT current_setting('server_version_num'), pg_is_in_recovery()::text, current_setting('transaction_read_only'),
       current_setting('synchronous_commit'), current_setting('fsync'), current_setting('server_encoding'),
       current_setting('full_page_writes');
