//! What is not a repository's own source, told by path.
//!
//! Must never know: contents. Invariant: `.gitattributes` has the last word over every rule here.
//!
//! The rules follow Linguist's lists of vendored, generated and documentation paths (github-linguist/linguist,
//! `vendor.yml`, `generated.rb`, `documentation.yml`), said anew as folders, names and endings. Case counts, as there:
//! `cache/` is kept from elsewhere, `Cache/` is a namespace. Differences are where an analysis reads what statistics
//! leave out: CI files (`.github`, `Jenkinsfile`), `Vagrantfile`, `fabfile.py`, manifests and configuration in data
//! languages count; and where a list goes by names that own code has, too: folders called `env`, `license.ts`,
//! `readme.js`, `effects.js`, any sheet whose name ends in `import`.

use super::attributes::Said;

/// Why a file was not counted. The order is the order of evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    Vendored,
    Generated,
    LockFile,
    Documentation,
    Data,
    Binary,
    TooLarge,
    LfsPointer,
    Submodule,
    Link,
    Unsupported,
    Undetectable,
}

impl Reason {
    pub fn name(self) -> &'static str {
        match self {
            Self::Vendored => "vendored",
            Self::Generated => "generated",
            Self::LockFile => "lock_file",
            Self::Documentation => "documentation",
            Self::Data => "data",
            Self::Binary => "binary",
            Self::TooLarge => "too_large",
            Self::LfsPointer => "lfs_pointer",
            Self::Submodule => "submodule",
            Self::Link => "link",
            Self::Unsupported => "unsupported_language",
            Self::Undetectable => "not_detectable",
        }
    }
}

/// Why a path does not count, if it does not.
pub fn by_path(path: &str, said: &Said) -> Option<Reason> {
    let (folders, name) = path.rsplit_once('/').unwrap_or(("", path));
    let is = |said: Option<bool>, default: bool| said.unwrap_or(default);
    if is(said.vendored, is_vendored(folders, name)) {
        return Some(Reason::Vendored);
    }
    if said.generated.unwrap_or(true) && LOCK_FILES.contains(&name) {
        return Some(Reason::LockFile);
    }
    if is(said.generated, is_generated(folders, name)) {
        return Some(Reason::Generated);
    }
    if is(said.documentation, is_documentation(folders, name)) {
        return Some(Reason::Documentation);
    }
    (said.detectable == Some(false)).then_some(Reason::Undetectable)
}

fn is_vendored(folders: &str, name: &str) -> bool {
    let mut parts = folders.split('/');
    let top = folders.split('/').next().unwrap_or_default();
    parts.any(|folder| VENDORED_FOLDERS.contains(&folder) || is_third_party(folder))
        || VENDORED_TOPS.contains(&top)
        || VENDORED_PLACES.iter().any(|place| is_within(folders, place))
        || is_package_of_nuget(folders)
        || VENDORED_NAMES.contains(&name)
        || VENDORED_ENDINGS.iter().any(|ending| name.ends_with(ending))
        || is_vendored_library(&name.to_ascii_lowercase())
}

/// `third_party`, `3rdparty`, `ThirdParty` and all between.
fn is_third_party(folder: &str) -> bool {
    let party = folder.strip_suffix("party").or_else(|| folder.strip_suffix("Party"));
    let third = party.map(|it| it.strip_suffix(['-', '_']).unwrap_or(it));
    third.is_some_and(|it| ["3rd", "third", "Third"].iter().any(|third| it.ends_with(third)))
}

/// Whether `folders` are in or below `place`, wherever that is.
fn is_within(folders: &str, place: &str) -> bool {
    folders.match_indices(place).any(|(at, _)| {
        let (before, after) = (&folders[..at], &folders[at + place.len()..]);
        (before.is_empty() || before.ends_with('/')) && (after.is_empty() || after.starts_with('/'))
    })
}

/// `packages/Name.1.2.3/…`, as NuGet unpacks them at the top of a solution.
fn is_package_of_nuget(folders: &str) -> bool {
    let Some(rest) = folders.strip_prefix("packages/").or_else(|| folders.strip_prefix("Packages/")) else {
        return false;
    };
    let package = rest.split('/').next().unwrap_or_default();
    let last = package.rsplit_once('.').map_or("", |(_, version)| version);
    !last.is_empty() && last.bytes().all(|it| it.is_ascii_digit())
}

/// Well-known browser libraries that people copy into their tree.
fn is_vendored_library(name: &str) -> bool {
    let script = [".js", ".css", ".less", ".scss", ".styl"].iter().any(|ending| name.ends_with(ending));
    script
        && VENDORED_LIBRARIES.iter().any(|library| {
            let rest = name.strip_prefix(library);
            rest.is_some_and(|rest| rest.starts_with(['.', '-']) && !rest.starts_with(".config"))
        })
}

fn is_generated(folders: &str, name: &str) -> bool {
    GENERATED_ENDINGS.iter().any(|ending| name.ends_with(ending))
        || name.starts_with("zz_generated.")
        || name.starts_with(".pnp.")
        || name.to_ascii_lowercase().ends_with("_tlb.pas")
        || folders.split('/').any(|folder| GENERATED_FOLDERS.contains(&folder) || folder.ends_with(".xcodeproj"))
}

fn is_documentation(folders: &str, name: &str) -> bool {
    let top = folders.split('/').next().unwrap_or_default().to_ascii_lowercase();
    let stem = name.split('.').next().unwrap_or_default();
    ["doc", "docs", "man", "examples", "demo", "demos", "sample", "samples"].contains(&top.as_str())
        || folders
            .split('/')
            .any(|folder| ["documentation", "javadoc", "groovydoc"].contains(&folder.to_ascii_lowercase().as_str()))
        || is_within(folders, "inst/doc")
        || ["README", "CHANGES", "CHANGELOG", "CONTRIBUTING", "COPYING", "INSTALL", "LICENSE", "LICENCE", "CITATION"]
            .contains(&stem)
}

/// Data languages (JSON, XML …) count where an analysis reads them: manifests and configuration, by name.
pub fn is_configuration(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path).to_ascii_lowercase();
    CONFIGURATION_NAMES.contains(&name.as_str())
        || CONFIGURATION_ENDINGS.iter().any(|ending| name.ends_with(ending))
        || (name.starts_with("tsconfig") && name.ends_with(".json"))
        || (name.starts_with("appsettings") && name.ends_with(".json"))
        || (name.starts_with('.') && name.ends_with("rc.json"))
}

const VENDORED_FOLDERS: [&str; 40] = [
    "node_modules",
    "bower_components",
    "jspm_packages",
    "vendor",
    "vendors",
    "Vendor",
    "extern",
    "external",
    "externals",
    "Extern",
    "External",
    "Externals",
    "dist",
    "Godeps",
    "Pods",
    "Carthage",
    "site-packages",
    ".venv",
    "venv",
    "__pycache__",
    "testdata",
    ".vscode",
    ".idea",
    ".bundle",
    "cache",
    "ace-builds",
    "admin_media",
    "bootstrap-datepicker",
    "bourbon",
    "Bourbon",
    "Crashlytics.framework",
    "extjs",
    "Fabric.framework",
    "MathJax",
    "Sparkle",
    "tiny_mce",
    "puphpet",
    "flow-typed",
    ".google_apis",
    "xvba_modules",
];

/// Folders at the top.
const VENDORED_TOPS: [&str; 4] = ["deps", "debian", "dependencies", "Dependencies"];

/// Folders within folders.
const VENDORED_PLACES: [&str; 16] = [
    ".yarn/releases",
    ".yarn/plugins",
    ".yarn/sdks",
    ".yarn/versions",
    ".yarn/unplugged",
    "gradle/wrapper",
    ".mvn/wrapper",
    "inst/extdata",
    "test/fixtures",
    "tests/fixtures",
    "Test/fixtures",
    "Tests/fixtures",
    "spec/fixtures",
    "specs/fixtures",
    "Spec/fixtures",
    "Specs/fixtures",
];

/// Declarations of other people's code, and what editors and tools bring along.
const VENDORED_ENDINGS: [&str; 5] =
    [".d.ts", "-vsdoc.js", ".intellisense.js", ".sublime-project", ".sublime-workspace"];

const VENDORED_NAMES: [&str; 31] = [
    ".gitattributes",
    ".gitignore",
    ".gitmodules",
    ".git-blame-ignore-revs",
    ".mailmap",
    "configure",
    "config.guess",
    "config.sub",
    "aclocal.m4",
    "ltmain.sh",
    "libtool.m4",
    "ltoptions.m4",
    "ltsugar.m4",
    "ltversion.m4",
    "lt~obsolete.m4",
    "depcomp",
    "install-sh",
    "missing",
    "gradlew",
    "gradlew.bat",
    "mvnw",
    "mvnw.cmd",
    "activator",
    "activator.bat",
    "cpplint.py",
    "erlang.mk",
    "ppport.h",
    "proguard.pro",
    "proguard-rules.pro",
    "rebar",
    "waf",
];

const VENDORED_LIBRARIES: [&str; 41] = [
    "jquery",
    "jquery-ui",
    "bootstrap",
    "angular",
    "backbone",
    "underscore",
    "lodash",
    "d3",
    "react",
    "react-dom",
    "vue",
    "ember",
    "prototype",
    "mootools",
    "modernizr",
    "normalize",
    "animate",
    "font-awesome",
    "fontawesome",
    "codemirror",
    "tinymce",
    "ckeditor",
    "knockout",
    "raphael",
    "bootstrap-theme",
    "cordova",
    "dojo",
    "fontello",
    "foundation",
    "fuelux",
    "html5shiv",
    "leaflet",
    "microsoftajax",
    "mochikit",
    "octicons",
    "scriptaculous",
    "shcore",
    "slick",
    "tiny_mce",
    "yui",
    "zepto",
];

const LOCK_FILES: [&str; 42] = [
    "Cargo.lock",
    "package-lock.json",
    "npm-shrinkwrap.json",
    "yarn.lock",
    "pnpm-lock.yaml",
    "bun.lock",
    "bun.lockb",
    "deno.lock",
    "composer.lock",
    "Gemfile.lock",
    "gems.locked",
    "poetry.lock",
    "Pipfile.lock",
    "uv.lock",
    "pdm.lock",
    "pixi.lock",
    "pylock.toml",
    "conda-lock.yml",
    "go.sum",
    "go.work.sum",
    "Gopkg.lock",
    "glide.lock",
    "flake.lock",
    "mix.lock",
    "rebar.lock",
    "pubspec.lock",
    "Podfile.lock",
    "Cartfile.resolved",
    "Package.resolved",
    "packages.lock.json",
    "paket.lock",
    "project.assets.json",
    "gradle.lockfile",
    "buildscript-gradle.lockfile",
    ".terraform.lock.hcl",
    "conan.lock",
    "shard.lock",
    "stack.yaml.lock",
    "cabal.project.freeze",
    "MODULE.bazel.lock",
    "Manifest.toml",
    "JuliaManifest.toml",
];

const GENERATED_ENDINGS: [&str; 39] = [
    ".min.js",
    ".min.css",
    ".min.mjs",
    "-min.js",
    "-min.css",
    ".bundle.js",
    ".js.map",
    ".css.map",
    ".mjs.map",
    ".pb.go",
    ".pb.gw.go",
    ".pb.cc",
    ".pb.h",
    ".pb.swift",
    "_pb2.py",
    "_pb2_grpc.py",
    "_pb2.pyi",
    "_pb.js",
    "_pb.d.ts",
    "_grpc_pb.js",
    ".g.dart",
    ".freezed.dart",
    ".pb.dart",
    ".designer.cs",
    ".Designer.cs",
    ".Designer.vb",
    ".g.cs",
    ".g.i.cs",
    ".feature.cs",
    ".pbxproj",
    ".nib",
    ".xcworkspacedata",
    ".xib",
    ".snap",
    ".xcuserstate",
    ".zep.c",
    ".zep.h",
    ".zep.php",
    ".sqlx.json",
];

const GENERATED_FOLDERS: [&str; 4] = ["__generated__", "__snapshots__", ".terraform", "htmlcov"];

const CONFIGURATION_NAMES: [&str; 34] = [
    "package.json",
    "composer.json",
    "deno.json",
    "deno.jsonc",
    "jsconfig.json",
    "bower.json",
    "lerna.json",
    "nx.json",
    "turbo.json",
    "vercel.json",
    "now.json",
    "netlify.json",
    "firebase.json",
    "app.json",
    "angular.json",
    "babel.json",
    "renovate.json",
    "biome.json",
    "global.json",
    "launchsettings.json",
    "host.json",
    "function.json",
    "serverless.json",
    "cdk.json",
    "devcontainer.json",
    "docker-compose.json",
    "compose.json",
    "pom.xml",
    "build.xml",
    "web.config",
    "app.config",
    "androidmanifest.xml",
    "nuget.config",
    "railway.json",
];

const CONFIGURATION_ENDINGS: [&str; 9] =
    [".csproj", ".fsproj", ".vbproj", ".props", ".targets", ".tf.json", ".pkr.json", ".template.json", ".nuspec"];
