//! A short way to write a fault without state that changes one method.

/// `Name: method |arguments| body` as a [`Fault`](super::broken::Fault).
macro_rules! faulty {
    ($($(#[$doc:meta])* $name:ident: $method:ident |$($arg:ident),*| $body:expr;)*) => {
        $(faulty! { @one [$(#[$doc])*] $name $method [$($arg)*] $body })*
    };
    (@one $docs:tt $name:ident insert [$store:ident $tasks:ident $now:ident] $body:expr) => {
        faulty! { @write $docs $name insert($store, $tasks: &[retry_core::task::NewTask], $now: Timestamp)
            -> Vec<retry_core::store::Inserted>, $body }
    };
    (@one $docs:tt $name:ident exchange [$store:ident $edits:ident $claims:ident $now:ident] $body:expr) => {
        faulty! { @write $docs $name exchange($store, $edits: &[retry_core::task::Edit],
            $claims: &[retry_core::store::ClaimRequest], $now: Timestamp) -> retry_core::store::Exchanged, $body }
    };
    (@one $docs:tt $name:ident renew [$store:ident $session:ident $until:ident $now:ident] $body:expr) => {
        faulty! { @write $docs $name renew($store, $session: SessionId, $until: Timestamp, $now: Timestamp)
            -> Renewed, $body }
    };
    (@one $docs:tt $name:ident expired [$store:ident $request:ident $now:ident] $body:expr) => {
        faulty! { @write $docs $name expired($store, $request: &retry_core::store::ExpiredRequest, $now: Timestamp)
            -> retry_core::store::Expired, $body }
    };
    (@one $docs:tt $name:ident get [$store:ident $id:ident] $body:expr) => {
        faulty! { @write $docs $name get($store, $id: retry_core::id::TaskId)
            -> Option<retry_core::task::TaskDetail>, $body }
    };
    (@one $docs:tt $name:ident list [$store:ident $filter:ident $page:ident] $body:expr) => {
        faulty! { @write $docs $name list($store, $filter: &retry_core::store::TaskFilter,
            $page: &retry_core::store::Page) -> retry_core::store::Listed, $body }
    };
    (@one $docs:tt $name:ident count [$store:ident $scope:ident] $body:expr) => {
        faulty! { @write $docs $name count($store, $scope: &retry_core::store::CountScope)
            -> retry_core::store::Counts, $body }
    };
    (@one $docs:tt $name:ident purge [$store:ident $now:ident $limit:ident] $body:expr) => {
        faulty! { @write $docs $name purge($store, $now: Timestamp, $limit: usize) -> u64, $body }
    };
    (@one $docs:tt $name:ident open_session [$store:ident $info:ident $until:ident $now:ident] $body:expr) => {
        faulty! { @write $docs $name open_session($store, $info: &retry_core::store::SessionInfo,
            $until: Timestamp, $now: Timestamp) -> (), $body }
    };
    (@one $docs:tt $name:ident close_session [$store:ident $session:ident] $body:expr) => {
        faulty! { @write $docs $name close_session($store, $session: SessionId) -> (), $body }
    };
    (@one $docs:tt $name:ident sessions [$store:ident] $body:expr) => {
        faulty! { @write $docs $name sessions($store) -> Vec<retry_core::store::Session>, $body }
    };
    (@one $docs:tt $name:ident set_queue [$store:ident $queue:ident $setting:ident] $body:expr) => {
        faulty! { @write $docs $name set_queue($store, $queue: &retry_core::name::Queue, $setting: QueueSetting)
            -> (), $body }
    };
    (@one $docs:tt $name:ident queues [$store:ident] $body:expr) => {
        faulty! { @write $docs $name queues($store) -> Vec<retry_core::store::QueueInfo>, $body }
    };
    (@write [$(#[$doc:meta])*] $name:ident $method:ident($store:ident $(, $arg:ident: $of:ty)*)
        -> $answer:ty, $body:expr) => {
        $(#[$doc])*
        #[derive(Debug, Default)]
        pub(super) struct $name;

        #[async_trait]
        impl Fault for $name {
            async fn $method(&self, $store: &Base $(, $arg: $of)*) -> Result<$answer> {
                $body
            }
        }
    };
}

pub(super) use faulty;
