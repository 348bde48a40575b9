-- The paused queues. No parameters.
SELECT queue FROM {schema}.paused;
