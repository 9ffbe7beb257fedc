//! What a closure takes of the host that it runs on: [`HostPolicy`], the `host` node of `closure`.

use std::collections::BTreeMap;

/// Something that both a host and a closure may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Matter {
    /// `certificates`: the certificate authorities that Python's `ssl` trusts.
    Certificates,
    /// `time-zones`: zone data, and the zone that the host is in.
    TimeZones,
    /// `locales`: the C library's locale data and translations.
    Locales,
    /// `terminals`: terminfo.
    Terminals,
    /// `openssl-configuration`: OpenSSL's `openssl.cnf`.
    OpensslConfiguration,
    /// `name-service`: modules that look users, groups and hosts up. They are code of the host.
    NameService,
    /// `preloads`: libraries named by LD_PRELOAD, LD_LIBRARY_PATH and LD_AUDIT. They are code too.
    Preloads,
}

/// Whose comes first, and whether the other's is used at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Order {
    /// `host-first`: the host's; the closure's where the host has none.
    HostFirst,
    /// `closure-first`: the closure's; the host's for what the closure has not.
    ClosureFirst,
    /// `closure-only`: nothing of the host.
    ClosureOnly,
}

/// Every matter, with its name.
pub const MATTERS: [(&str, Matter); 7] = [
    ("certificates", Matter::Certificates),
    ("time-zones", Matter::TimeZones),
    ("locales", Matter::Locales),
    ("terminals", Matter::Terminals),
    ("openssl-configuration", Matter::OpensslConfiguration),
    ("name-service", Matter::NameService),
    ("preloads", Matter::Preloads),
];

const ORDERS: [(&str, Order); 3] = [
    ("host-first", Order::HostFirst),
    ("closure-first", Order::ClosureFirst),
    ("closure-only", Order::ClosureOnly),
];

impl Matter {
    /// Its name in a recipe.
    pub fn name(self) -> &'static str {
        let found = MATTERS.iter().find(|(_, matter)| *matter == self);
        found.map_or("", |(name, _)| name)
    }

    /// What holds where the recipe says nothing. Data of the host are newer than the closure's;
    /// its code is not ours to run.
    pub fn usual(self) -> Order {
        match self {
            Matter::Certificates | Matter::TimeZones | Matter::Locales | Matter::Terminals => {
                Order::HostFirst
            }
            Matter::OpensslConfiguration | Matter::NameService | Matter::Preloads => {
                Order::ClosureOnly
            }
        }
    }

    /// The orders that mean something: of configuration and code a closure has none of its own to
    /// come first.
    pub fn orders(self) -> Vec<(&'static str, Order)> {
        let has_data = self.usual() == Order::HostFirst;
        let all = ORDERS.iter().copied();
        all.filter(|(_, order)| has_data || *order != Order::ClosureFirst)
            .collect()
    }
}

impl Order {
    /// Its name in a recipe.
    pub fn name(self) -> &'static str {
        let found = ORDERS.iter().find(|(_, order)| *order == self);
        found.map_or("", |(name, _)| name)
    }
}

/// The order of each matter; those that are as usual are not kept, so that saying what holds
/// anyway changes nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct HostPolicy(BTreeMap<Matter, Order>);

impl HostPolicy {
    /// What holds for `matter`.
    pub fn of(&self, matter: Matter) -> Order {
        self.0
            .get(&matter)
            .copied()
            .unwrap_or_else(|| matter.usual())
    }

    /// Sets what holds for `matter`.
    pub fn set(&mut self, matter: Matter, order: Order) {
        if order == matter.usual() {
            self.0.remove(&matter);
        } else {
            self.0.insert(matter, order);
        }
    }

    /// What is not as usual, as names: of the matter, and of its order.
    pub fn unusual(&self) -> impl Iterator<Item = (&'static str, &'static str)> + '_ {
        let names = |(matter, order): (&Matter, &Order)| (matter.name(), order.name());
        self.0.iter().map(names)
    }
}
