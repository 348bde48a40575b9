//! Ids as PostgreSQL's `uuid`, of which the driver needs nothing but its number and 16 bytes.

use retry_core::id::{SessionId, TaskId};
use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::postgres::types::Oid;
use sqlx::postgres::{PgArgumentBuffer, PgHasArrayType, PgTypeInfo, PgValueRef};
use sqlx::{Decode, Encode, Postgres, Type};

/// The catalogue's numbers of `uuid` and `uuid[]`, which never change.
const UUID: Oid = Oid(2950);
const UUID_ARRAY: Oid = Oid(2951);

/// An id of a task or session on its way to or from the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Id(pub(crate) [u8; 16]);

impl From<TaskId> for Id {
    fn from(id: TaskId) -> Self {
        Self(id.to_bytes())
    }
}

impl From<SessionId> for Id {
    fn from(id: SessionId) -> Self {
        Self(id.to_bytes())
    }
}

impl From<Id> for TaskId {
    fn from(id: Id) -> Self {
        Self::from_bytes(id.0)
    }
}

impl From<Id> for SessionId {
    fn from(id: Id) -> Self {
        Self::from_bytes(id.0)
    }
}

/// Ids to be bound as one array.
pub(crate) fn ids<T: Into<Id>>(ids: impl IntoIterator<Item = T>) -> Vec<Id> {
    ids.into_iter().map(Into::into).collect()
}

impl Type<Postgres> for Id {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(UUID)
    }
}

impl PgHasArrayType for Id {
    fn array_type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(UUID_ARRAY)
    }
}

impl Encode<'_, Postgres> for Id {
    fn encode_by_ref(&self, buf: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        buf.extend_from_slice(&self.0);
        Ok(IsNull::No)
    }
}

impl Decode<'_, Postgres> for Id {
    fn decode(value: PgValueRef<'_>) -> Result<Self, BoxDynError> {
        Ok(Self(value.as_bytes()?.try_into()?))
    }
}
