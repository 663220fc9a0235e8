//! Small indices into the published tables. The control thread allocates them and does not give one to something
//! else before every worker has let go of the tables that held it.

/// A port: an index into [`crate::tables::Tables::ports`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct PortId(pub u16);

/// A bridge domain, one per VNI. Zero is never allocated, so that no forwarding key is zero.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct DomainId(pub u16);

/// A group: several remotes of one bridge domain that frames are spread over.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct GroupId(pub u16);

/// A remote: one peer VTEP in one bridge domain, with its prebuilt outer header.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct RemoteId(pub u32);
