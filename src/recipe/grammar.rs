//! The closed list of nodes a recipe can hold. What is not in [`RULES`] is refused.
//!
//! `decode.rs` holds a document against this table; `parse.rs` gives each node its meaning. The
//! book's reference is tested against the table, so a new node needs a row, a meaning and a page.

/// One kind of node.
#[derive(Debug)]
pub struct Rule {
    /// Its name.
    pub node: &'static str,
    /// The node whose block it stands in; empty for the file itself.
    pub inside: &'static str,
    /// The fewest and the most arguments.
    pub arguments: (usize, usize),
    /// What its arguments are called in messages.
    pub noun: &'static str,
    /// What its arguments must be.
    pub kind: Kind,
    /// Its properties: name, and whether it must be there.
    pub properties: &'static [(&'static str, bool)],
    /// Whether it may stand in its block more than once.
    pub repeats: bool,
    /// What happens to it when recipes are joined.
    pub joins: Joins,
    /// For messages.
    pub example: &'static str,
}

/// What the arguments of a node are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Strings.
    Text,
    /// `#true` or `#false`.
    Flag,
}

/// What happens to a node of a recipe that another one builds on, where both have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Joins {
    /// The nearer one counts.
    Nearest,
    /// They are one node: what is in their blocks is joined.
    Block,
    /// Both stay; each argument that both have counts once, or says what is nearer: a package is
    /// wanted or excluded.
    Words,
    /// Both stay; each argument that both have, and that means the same file, counts once.
    Files,
    /// Both stay; of the same name, the nearer one.
    Names,
    /// Both stay; of the same Python project, what the nearer one says.
    Projects,
    /// Both stay, unless they say the same.
    Both,
}

const MANY: usize = usize::MAX;

/// Every node there is.
pub static RULES: &[Rule] = &[
    Rule {
        arguments: (1, 1),
        noun: "a name",
        properties: &[("version", true)],
        ..rule("recipe", "", "recipe \"hello\" version=\"1.0\" { … }")
    },
    Rule {
        arguments: (1, 1),
        noun: "a name",
        properties: &[("default", false)],
        repeats: true,
        joins: Joins::Names,
        ..rule("param", "recipe", "param \"flavour\" default=\"small\"")
    },
    Rule {
        arguments: (1, MANY),
        noun: "a file",
        repeats: true,
        ..rule("include", "recipe", "include \"common.kdl\"")
    },
    Rule {
        arguments: (1, 1),
        noun: "a recipe",
        ..rule("extends", "recipe", "extends \"python\"")
    },
    Rule {
        arguments: (1, MANY),
        noun: "a recipe",
        repeats: true,
        ..rule("use", "recipe", "use \"yaml-tools\"")
    },
    Rule {
        arguments: (1, 1),
        noun: "a text",
        ..rule(
            "description",
            "recipe",
            "description \"Python with requests\"",
        )
    },
    Rule {
        arguments: (1, 1),
        noun: "an SPDX expression",
        ..rule("license", "recipe", "license \"PSF-2.0\"")
    },
    Rule {
        arguments: (2, 2),
        noun: "a language and a version",
        properties: &[("from", true), ("suite", true), ("expired", false)],
        ..rule(
            "interpreter",
            "recipe",
            "interpreter \"python\" \"3.13\" from=\"debian\" suite=\"trixie\"",
        )
    },
    Rule {
        arguments: (1, 1),
        noun: "a source package",
        properties: &[("suite", true), ("expired", false)],
        ..rule(
            "patches",
            "interpreter",
            "patches \"python3.13\" suite=\"trixie\"",
        )
    },
    block("pip", "recipe", "pip { require \"requests\" }"),
    Rule {
        arguments: (1, MANY),
        noun: "a requirement",
        repeats: true,
        joins: Joins::Projects,
        ..rule("require", "pip", "require \"requests\" \"psutil>=5.9\"")
    },
    Rule {
        arguments: (1, MANY),
        noun: "a file",
        repeats: true,
        joins: Joins::Files,
        ..rule("requirements", "pip", "requirements \"requirements.txt\"")
    },
    Rule {
        arguments: (1, MANY),
        noun: "a project",
        repeats: true,
        joins: Joins::Words,
        ..rule("pth", "pip", "pth \"setuptools\"")
    },
    Rule {
        arguments: (1, MANY),
        noun: "a project",
        repeats: true,
        joins: Joins::Words,
        ..rule("no-binary", "pip", "no-binary \"mysqlclient\"")
    },
    versions(
        "override",
        "override \"urllib3\" \">=2.5\" reason=\"the pin has a known fault\"",
    ),
    versions(
        "build-constraint",
        "build-constraint \"cython\" \"<3.3\" reason=\"3.3 writes something else each time\"",
    ),
    Rule {
        noun: "a project",
        ..without("pip", "without \"requests\"")
    },
    block("system", "recipe", "system { package \"ca-certificates\" }"),
    Rule {
        arguments: (1, MANY),
        noun: "a Debian package",
        repeats: true,
        joins: Joins::Words,
        ..rule(
            "package",
            "system",
            "package \"libudev1\" \"ca-certificates\"",
        )
    },
    Rule {
        arguments: (1, MANY),
        noun: "a package or a path",
        repeats: true,
        joins: Joins::Words,
        ..rule("exclude", "system", "exclude \"tzdata\" \"share/doc/**\"")
    },
    Rule {
        noun: "a package or a path",
        ..without("system", "without \"libudev1\"")
    },
    Rule {
        arguments: (1, 1),
        noun: "a name",
        repeats: true,
        joins: Joins::Names,
        ..rule(
            "source",
            "recipe",
            "source \"src\" { debian-source \"zlib\" }",
        )
    },
    Rule {
        arguments: (1, 1),
        noun: "a Debian source package",
        properties: &[("patches", false)],
        ..rule("debian-source", "source", "debian-source \"zlib\"")
    },
    Rule {
        arguments: (1, 1),
        noun: "a URL",
        properties: &[("sha256", true)],
        ..rule(
            "url",
            "source",
            "url \"https://example.org/hello-1.0.tar.gz\" sha256=\"…\"",
        )
    },
    Rule {
        arguments: (1, 1),
        noun: "the URL of a git repository",
        properties: &[("commit", true)],
        ..rule(
            "git",
            "source",
            "git \"https://example.org/hello.git\" commit=\"…\"",
        )
    },
    Rule {
        arguments: (1, 1),
        noun: "a folder or an archive beside the recipe",
        ..rule("path", "source", "path \"src\"")
    },
    Rule {
        arguments: (1, 1),
        noun: "a distribution",
        properties: &[("suite", true), ("expired", false)],
        joins: Joins::Block,
        ..rule(
            "sysroot",
            "recipe",
            "sysroot \"debian\" suite=\"trixie\" { package \"gcc\" }",
        )
    },
    Rule {
        arguments: (1, MANY),
        noun: "a Debian package",
        repeats: true,
        joins: Joins::Words,
        ..rule("package", "sysroot", "package \"gcc\" \"make\"")
    },
    Rule {
        noun: "a package",
        ..without("sysroot", "without \"cmake\"")
    },
    block("build", "recipe", "build { run \"make\" in=\"src\" }"),
    Rule {
        arguments: (2, 2),
        noun: "a name and a value",
        repeats: true,
        joins: Joins::Names,
        ..rule("env", "build", "env \"CFLAGS\" \"-O2\"")
    },
    Rule {
        arguments: (1, MANY),
        noun: "a patch",
        properties: &[("in", true)],
        repeats: true,
        joins: Joins::Both,
        ..rule("patch", "build", "patch \"fix.patch\" in=\"src\"")
    },
    Rule {
        arguments: (1, MANY),
        noun: "a program",
        properties: &[("in", false)],
        repeats: true,
        joins: Joins::Both,
        ..rule("run", "build", "run \"make\" \"install\" in=\"src\"")
    },
    Rule {
        arguments: (2, MANY),
        noun: "a name and the paths that belong to it",
        repeats: true,
        joins: Joins::Names,
        ..rule("output", "build", "output \"dev\" \"include/**\"")
    },
    Rule {
        arguments: (1, MANY),
        noun: "a path",
        repeats: true,
        joins: Joins::Words,
        ..rule("compiled-in", "build", "compiled-in \"share/locale\"")
    },
    block("closure", "recipe", "closure { trim \"tests\" }"),
    Rule {
        arguments: (1, 1),
        noun: "a name",
        properties: &[("runs", true)],
        repeats: true,
        joins: Joins::Names,
        ..rule("entry", "closure", "entry \"hello\" runs=\"bin/python3\"")
    },
    Rule {
        arguments: (1, MANY),
        noun: "a rule",
        repeats: true,
        joins: Joins::Words,
        ..rule("trim", "closure", "trim \"tests\" \"docs\"")
    },
    Rule {
        arguments: (1, 1),
        noun: "#true or #false",
        kind: Kind::Flag,
        ..rule("byte-code", "closure", "byte-code #false")
    },
    Rule {
        arguments: (1, 1),
        noun: "a folder",
        ..rule("fixed-path", "closure", "fixed-path \"/opt/hello\"")
    },
    Rule {
        noun: "a rule or an entry",
        ..without("closure", "without \"tests\"")
    },
    block("host", "closure", "host { certificates \"closure-only\" }"),
    Rule {
        arguments: (1, 1),
        noun: "an order",
        ..rule("certificates", "host", "certificates \"closure-only\"")
    },
    Rule {
        arguments: (1, 1),
        noun: "an order",
        ..rule("time-zones", "host", "time-zones \"closure-first\"")
    },
    Rule {
        arguments: (1, 1),
        noun: "an order",
        ..rule("locales", "host", "locales \"closure-first\"")
    },
    Rule {
        arguments: (1, 1),
        noun: "an order",
        ..rule("terminals", "host", "terminals \"closure-first\"")
    },
    Rule {
        arguments: (1, 1),
        noun: "an order",
        ..rule(
            "openssl-configuration",
            "host",
            "openssl-configuration \"host-first\"",
        )
    },
    Rule {
        arguments: (1, 1),
        noun: "an order",
        ..rule("name-service", "host", "name-service \"host-first\"")
    },
    Rule {
        arguments: (1, 1),
        noun: "an order",
        ..rule("preloads", "host", "preloads \"host-first\"")
    },
    block("check", "recipe", "check { python \"import requests\" }"),
    Rule {
        arguments: (1, 1),
        noun: "the code",
        properties: &[("timeout", false)],
        repeats: true,
        joins: Joins::Both,
        ..rule("python", "check", "python \"import requests\"")
    },
    Rule {
        arguments: (1, MANY),
        noun: "a program",
        properties: &[("timeout", false)],
        repeats: true,
        joins: Joins::Both,
        ..rule("run", "check", "run \"bin/python3\" \"--version\"")
    },
    Rule {
        noun: "some text of a check",
        ..without("check", "without \"import requests\"")
    },
    Rule {
        arguments: (0, MANY),
        noun: "a format",
        ..rule("package", "recipe", "package \"tar.zst\"")
    },
    Rule {
        arguments: (1, 1),
        noun: "a folder",
        ..rule("prefix", "package", "prefix \"/opt/hello\"")
    },
    Rule {
        arguments: (1, 1),
        noun: "a policy",
        ..rule("lock", "recipe", "lock \"follow\"")
    },
    Rule {
        arguments: (1, 1),
        noun: "the recipe's name",
        repeats: true,
        ..rule(
            "variant",
            "",
            "variant \"hello\" { python \"3.11\" suite=\"bookworm\" }",
        )
    },
    Rule {
        arguments: (1, MANY),
        noun: "a version",
        properties: &[("suite", false)],
        repeats: true,
        ..rule("python", "variant", "python \"3.11\" suite=\"bookworm\"")
    },
    Rule {
        arguments: (1, MANY),
        noun: "a suite",
        ..rule("suite", "variant", "suite \"bookworm\" \"trixie\"")
    },
    Rule {
        arguments: (1, MANY),
        noun: "a processor",
        ..rule("arch", "variant", "arch \"x86_64\" \"aarch64\"")
    },
    Rule {
        arguments: (2, MANY),
        noun: "a parameter and its values",
        repeats: true,
        ..rule("set", "variant", "set \"flavour\" \"small\" \"full\"")
    },
];

/// A node that only holds others.
const fn block(node: &'static str, inside: &'static str, example: &'static str) -> Rule {
    Rule {
        joins: Joins::Block,
        ..rule(node, inside, example)
    }
}

/// A node that says which versions of a project are taken, and why.
const fn versions(node: &'static str, example: &'static str) -> Rule {
    Rule {
        arguments: (2, 2),
        noun: "a project and its versions",
        properties: &[("reason", true)],
        repeats: true,
        joins: Joins::Names,
        ..rule(node, "pip", example)
    }
}

/// A node that takes away what the recipes say that this one builds on.
const fn without(inside: &'static str, example: &'static str) -> Rule {
    Rule {
        arguments: (1, MANY),
        repeats: true,
        joins: Joins::Words,
        ..rule("without", inside, example)
    }
}

/// A node without arguments or properties that stands in its block once.
const fn rule(node: &'static str, inside: &'static str, example: &'static str) -> Rule {
    Rule {
        node,
        inside,
        arguments: (0, 0),
        noun: "an argument",
        kind: Kind::Text,
        properties: &[],
        repeats: false,
        joins: Joins::Nearest,
        example,
    }
}

/// Nodes the language will have. People read about them in the design; they deserve a better
/// answer than "unknown".
pub(super) static PLANNED: &[(&str, &str)] = &[
    (
        "allow-expired",
        "write it as a property: interpreter … expired=\"allow\"",
    ),
    ("role", "delete it: a closure is one package"),
    ("service", "delete it: a closure is one package"),
    ("config", "delete it: a closure is one package"),
];

impl Rule {
    /// The rules of the nodes that stand in this node's block.
    pub fn children(&self) -> impl Iterator<Item = &'static Rule> {
        children_of(self.node)
    }

    /// The heading of the reference that tells about it.
    pub(super) fn anchor(&self) -> &'static str {
        match self.inside {
            "" | "recipe" => self.node,
            parent => parent,
        }
    }

    /// `one argument: a name`, for messages.
    pub(super) fn wanted(&self) -> String {
        match self.arguments {
            (_, 0) => "no arguments".to_owned(),
            (1, 1) => format!("one argument: {}", self.noun),
            (least, MANY) => format!("at least {least} arguments: {}", self.noun),
            (_, most) => format!("{most} arguments: {}", self.noun),
        }
    }
}

/// The rules of the nodes inside `parent`; none of them where `parent` takes no block.
pub(super) fn children_of(parent: &str) -> impl Iterator<Item = &'static Rule> {
    RULES.iter().filter(move |rule| rule.inside == parent)
}
