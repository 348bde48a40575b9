//! The task record: what a store keeps, in the shapes that callers hand in and get back.

mod change;
mod completion;
mod error_text;
mod new;
mod record;
mod settings;
mod state;
mod stored_settings;

pub use change::{Action, Change, Cold, CompletionChange, Edit, Field, Target};
pub use completion::{Completion, CompletionOutcome, WaitToken};
pub use error_text::{ErrorText, FailedAttempt};
pub use new::{NewTask, OnDuplicate, Unique};
pub use record::{Children, ClaimedTask, Task, TaskDetail, TaskSummary};
pub use settings::{FailedChildren, KeyScope, OnWaitDeadline, Retention, Settings};
pub use state::State;
