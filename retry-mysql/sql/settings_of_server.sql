-- What the store's promises depend on. SHOW, because not every server has every variable.
SHOW GLOBAL VARIABLES WHERE Variable_name IN (
  'version', 'version_comment', 'innodb_flush_log_at_trx_commit', 'log_bin', 'sync_binlog', 'binlog_format', 'read_only',
  'super_read_only', 'innodb_read_only', 'max_allowed_packet', 'innodb_doublewrite')
