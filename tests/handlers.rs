//! What a handler may answer, and every form of error, does what the documentation says: through the facade, on SQLite.
