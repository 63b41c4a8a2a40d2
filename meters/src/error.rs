//! Every "cannot be measured", on one page. Closed: a caller can match all of it.
//!
//! Must never know: HTTP statuses or screens. Invariant: each error has a stable code and says what to do.

use std::fmt;

/// Why an artefact was not measured. The caller charges nothing for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MeasureError {
    /// The chat request is not of the documented form.
    InvalidChat { field: String, problem: String },
    /// A message part that no local tokenizer can count (an image, a sound).
    UnsupportedPart { field: String, kind: String },
    /// The provider's usage object is of no known shape, or contradicts itself.
    InvalidUsage { field: String, problem: String },
    /// More text or more messages than the limit.
    ChatTooLong { field: String, found: u64, max: u64 },
    /// A file or folder could not be read.
    UnreadableRepository { path: String, problem: String },
    /// The commit is not written as a revision may be, or does not exist.
    UnknownCommit { commit: String, problem: String },
    /// `git` is missing, failed, or took too long.
    GitFailed { problem: String },
    /// A limit of the repository options was passed: files, bytes.
    RepositoryTooLarge { what: &'static str, max: u64 },
    /// Neither tar, tar.gz nor zip, or broken in the middle.
    InvalidArchive { problem: String },
    /// An archive that would do harm if it were unpacked: traversal, devices, escaping links, doubled names.
    UnsafeArchive { path: String, problem: &'static str },
    /// An archive that expands beyond the limits.
    ArchiveTooLarge { what: &'static str, max: u64 },
    /// A zip entry under a password.
    EncryptedArchive { path: String },
    /// What is said to be an earlier measurement's snapshot is none, or was changed.
    InvalidSnapshot { problem: String },
    /// Neither a Terraform plan, nor a compose file, nor Scrip's own plan.
    UnknownPlan { problem: String },
    /// A plan of a major format version that is not known.
    UnsupportedPlanVersion { found: String, supported: &'static str },
    /// A plan that its own tool marks as failed, or whose content is not of the documented form.
    InvalidPlan { field: String, problem: String },
    /// More bytes, resources or depth than the limit.
    PlanTooLarge { what: &'static str, max: u64 },
    /// Lifecycle facts that cannot all be true.
    InvalidLifecycle { field: String, problem: String },
    /// Not an IANA time zone.
    UnknownZone { zone: String },
}

impl MeasureError {
    /// Stable, snake_case, for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::InvalidChat { .. } => "invalid_chat",
            Self::UnsupportedPart { .. } => "unsupported_message_part",
            Self::InvalidUsage { .. } => "invalid_usage",
            Self::ChatTooLong { .. } => "chat_too_long",
            Self::UnreadableRepository { .. } => "unreadable_repository",
            Self::UnknownCommit { .. } => "unknown_commit",
            Self::GitFailed { .. } => "git_failed",
            Self::RepositoryTooLarge { .. } => "repository_too_large",
            Self::InvalidArchive { .. } => "invalid_archive",
            Self::UnsafeArchive { .. } => "unsafe_archive",
            Self::ArchiveTooLarge { .. } => "archive_too_large",
            Self::EncryptedArchive { .. } => "encrypted_archive",
            Self::InvalidSnapshot { .. } => "invalid_snapshot",
            Self::UnknownPlan { .. } => "unknown_plan",
            Self::UnsupportedPlanVersion { .. } => "unsupported_plan_version",
            Self::InvalidPlan { .. } => "invalid_plan",
            Self::PlanTooLarge { .. } => "plan_too_large",
            Self::InvalidLifecycle { .. } => "invalid_lifecycle",
            Self::UnknownZone { .. } => "unknown_zone",
        }
    }

    /// The part of the input that is at fault, where there is one.
    #[must_use]
    pub fn field(&self) -> Option<String> {
        match self {
            Self::InvalidChat { field, .. }
            | Self::UnsupportedPart { field, .. }
            | Self::InvalidUsage { field, .. }
            | Self::ChatTooLong { field, .. }
            | Self::InvalidPlan { field, .. }
            | Self::InvalidLifecycle { field, .. } => Some(field.clone()),
            Self::UnreadableRepository { path, .. }
            | Self::UnsafeArchive { path, .. }
            | Self::EncryptedArchive { path } => Some(path.clone()),
            Self::UnknownCommit { .. } => Some("commit".to_owned()),
            Self::UnsupportedPlanVersion { .. } => Some("format_version".to_owned()),
            Self::UnknownZone { .. } => Some("zone".to_owned()),
            Self::GitFailed { .. }
            | Self::RepositoryTooLarge { .. }
            | Self::InvalidArchive { .. }
            | Self::ArchiveTooLarge { .. }
            | Self::InvalidSnapshot { .. }
            | Self::UnknownPlan { .. }
            | Self::PlanTooLarge { .. } => None,
        }
    }
}

impl fmt::Display for MeasureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InvalidChat { field, problem } => {
                write!(f, "{field}: {problem}; send model and one of text, messages or usage")
            }
            Self::UnsupportedPart { field, kind } => write!(
                f,
                "{field}: a part of type {kind:?} cannot be counted from its text; send the provider's usage object"
            ),
            Self::InvalidUsage { field, problem } => {
                write!(f, "{field}: {problem}; send the provider's usage object unchanged")
            }
            Self::ChatTooLong { field, found, max } => {
                write!(f, "{field}: {found} is over the limit of {max}; send less, or the provider's usage object")
            }
            Self::UnreadableRepository { path, problem } => {
                write!(f, "cannot read {path:?}: {problem}; check that it exists and may be read")
            }
            Self::UnknownCommit { commit, problem } => {
                write!(f, "commit {commit:?} {problem}; give a commit id, a branch or a tag of this repository")
            }
            Self::GitFailed { problem } => {
                write!(
                    f,
                    "git could not read the repository: {problem}; check that git is installed and that the \
                     folder is a repository"
                )
            }
            Self::RepositoryTooLarge { what, max } => {
                write!(f, "the repository has more than {max} {what}; measure a folder of it")
            }
            Self::InvalidArchive { problem } => {
                write!(f, "not a readable archive: {problem}; send a whole tar, tar.gz or zip file")
            }
            Self::UnsafeArchive { path, problem } => {
                write!(f, "the archive's entry {path:?} {problem}; pack plain files and folders under one root")
            }
            Self::ArchiveTooLarge { what, max } => {
                write!(f, "the archive expands to more than {max} {what}; pack the source alone, not what is built")
            }
            Self::EncryptedArchive { path } => {
                write!(f, "the archive's entry {path:?} is encrypted; pack it without a password")
            }
            Self::InvalidSnapshot { problem } => {
                write!(f, "not a snapshot: {problem}; send that of an earlier measurement as it was given")
            }
            Self::UnknownPlan { problem } => write!(
                f,
                "not a plan: {problem}; send the output of `terraform show -json PLAN`, a compose file, or a Scrip plan"
            ),
            Self::UnsupportedPlanVersion { found, supported } => {
                write!(f, "plan format version {found:?} is not supported; supported: {supported}")
            }
            Self::InvalidPlan { field, problem } => {
                write!(f, "{field}: {problem}; make the plan again and send it whole")
            }
            Self::PlanTooLarge { what, max } => {
                write!(f, "the plan has more than {max} {what}; split it")
            }
            Self::InvalidLifecycle { field, problem } => {
                write!(f, "{field}: {problem}; send the facts as they happened, each once")
            }
            Self::UnknownZone { zone } => {
                write!(f, "{zone:?} is not a time zone; give an IANA name such as Europe/Vilnius")
            }
        }
    }
}

impl std::error::Error for MeasureError {}
