"""Development tasks: plain `nox` runs every check, `nox --list` names the other sessions."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import nox
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

nox.needs_version = ">=2026.10.20"
nox.options.sessions = ["tests"]
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.download_python = "never"
nox.options.error_on_missing_interpreters = True

os.environ["UV_SYSTEM_CERTS"] = "1"  # as pip does
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # or every process would compile all modules and tests for itself

PYPROJECT = nox.project.load_toml("pyproject.toml")
PROJECT = PYPROJECT["project"]
PYTHONS = nox.project.python_versions(PYPROJECT)
OLDEST = PYTHONS[0]
EXTRAS = PROJECT["optional-dependencies"]

EVERYTHING = ("pyproject.toml", "--all-extras")
LOCKS = {  # file in requirements/ -> what uv resolves for it
    "bench": (*EVERYTHING, "--group", "bench"),
    "browser": (*EVERYTHING, "--group", "browser"),
    "build": ("--group", "build"),
    "coverage": ("--group", "coverage"),
    "demo": (*EVERYTHING, "--group", "demo"),
    "docs": (*EVERYTHING, "--group", "docs"),
    "examples": (*EVERYTHING, "--group", "examples"),
    "lint": ("--group", "lint"),
    "lock": ("--group", "lock"),
    "nox": ("--group", "nox"),
    "package": ("--group", "package"),
    "publish": ("--group", "publish"),
    "telemetry": (*EVERYTHING, "--group", "telemetry", "--group", "declarative"),
    "test": (*EVERYTHING, "--group", "test"),
    "typing": (*EVERYTHING, "--group", "typing"),
}

# Set by `nightly` for the sessions it starts, which then leave nothing out.
NIGHTLY = "AIRPLANE_NIGHTLY" in os.environ
# Marks of tests that have sessions of their own.
APART = "slow or postgres or browser or compat or telemetry or package"
GATE = "" if NIGHTLY else " and not nightly"
WHOLE = f"not ({APART}){GATE}"
REPEATED = f"{WHOLE} and not once"
# More at once than there are cores here: much of the tests' time goes by in waiting for deadlines.
SIDE_BY_SIDE = ("-n", "3", "--dist", "worksteal")

# Tests in these folders turn out alike on every Python, but for a few of the server's.
ALIKE = {"benchmarks", "chaos", "compat", "docs", "house", "package", "server", "support", "typing"}
SMOKE = (
    "tests/server/authoring/test_fields.py",
    "tests/server/authoring/test_code.py",
    "tests/server/service/test_execute.py",
)
VARYING = (*(str(one) for one in sorted(Path("tests").glob("[a-z]*/")) if one.name not in ALIKE), *SMOKE)
EXAMPLES = sorted(path.parent for path in Path("examples").glob("*/pyproject.toml"))
DOWNSTREAM = {"runbooks", "sdk"}  # those that every change is tested by; `examples` has the tests of them all
BETWEEN = ("tests/client", "tests/testing", *SMOKE)  # for a Python between two that run more

# The client is to be covered by its own tests. The others take longer while they are measured, and add nothing.
UNMEASURED = (
    *("tests/cli", "tests/server", "tests/benchmarks", "tests/chaos", "tests/docs", "tests/house"),
    *("tests/client/test_demos.py", "tests/client/test_exactly_once.py", "tests/client/test_many_sessions.py"),
)


def pyenv(*words: str) -> list[str]:
    """Return the words that a pyenv command prints."""
    return subprocess.run(["pyenv", *words], capture_output=True, text=True, check=False).stdout.split()


def wake_shims() -> None:
    """Let pyenv's shims start every version it holds: unasked, they start only the selected one."""
    if shutil.which("pyenv"):
        held = [name for name in pyenv("versions", "--bare") if name.startswith(tuple(f"{one}." for one in PYTHONS))]
        os.environ["PYENV_VERSION"] = ":".join([*pyenv("version-name"), *held])
        os.environ["PATH"] += os.pathsep + str(Path(*pyenv("root"), "shims"))


def starts(python: str) -> bool:
    """Tell whether that version runs: a command on PATH may be the shim of a version that is gone."""
    command = shutil.which(f"python{python}")
    return command is not None and subprocess.run([command, "-c", ""], capture_output=True, check=False).returncode == 0


wake_shims()
PRESENT = [python for python in PYTHONS if python == OLDEST or starts(python)]
ABSENT = [python for python in PYTHONS if python not in PRESENT]


def install(session: nox.Session, *locks: str, package: bool = True) -> None:
    """Install locks and, unless they only hold tools, the wheel left by `build`: never the source tree."""
    session.install("--require-hashes", *(word for lock in locks for word in ("-r", f"requirements/{lock}.txt")))
    if package:
        (wheel,) = Path("dist").glob("*.whl")
        session.install("--no-deps", "--no-index", "--force-reinstall", str(wheel))


def repeat_tests(session: nox.Session, *paths: str) -> None:
    """Run the tests that can turn out differently on another Python or with other dependencies."""
    if NIGHTLY and not session.posargs:
        run_tests(session, "-m", WHOLE)
    else:
        run_tests(session, "-m", REPEATED, *(session.posargs or paths), profile="brief")


def measure_tests(session: nox.Session) -> None:
    """Run the tests of the client, and measure how much of it they cover."""
    session.run("coverage", "erase")
    measured = session.posargs or [word for path in UNMEASURED for word in ("--ignore", path)]
    run_tests(session, "-m", WHOLE, *measured, command=("coverage", "run", "-m", "pytest"))
    session.run("coverage", "combine", "--quiet")


def run_tests(
    session: nox.Session, *words: str, command: tuple[str, ...] = ("python", "-m", "pytest"), profile: str = "gate"
) -> None:
    """Run pytest in several processes. `profile` tells how many examples Hypothesis tries."""
    if NIGHTLY:
        profile, words = "nightly", ("-o", "timeout=900", *words)  # more examples take longer
    # Each of the processes imports all tests. Do it once before, so that they find everything compiled.
    session.run("python", "-m", "pytest", "--collect-only", "--quiet", *words, silent=True)
    session.run(*command, *SIDE_BY_SIDE, *words, env={"HYPOTHESIS_PROFILE": profile})


def test_examples(session: nox.Session, *folders: Path) -> None:
    """Run the tests of projects in examples/, each one in its folder and with its settings, as its users do."""
    for folder in folders:
        with session.chdir(folder):
            session.run("python", "-m", "pytest", *SIDE_BY_SIDE)


def may_install() -> bool:
    """Tell whether this is Debian's root."""
    return shutil.which("apt-get") is not None and os.geteuid() == 0


def provide(session: nox.Session, package: str, *programs: str) -> None:
    """See to it that programs of a Debian package are here: install it if they are not, and this is Debian's root."""
    if any(map(shutil.which, programs)):
        return
    if not may_install():
        session.skip(f"needs {programs[0]}: install the package {package}")
    import fcntl

    with Path(".nox", "apt.lock").open("w") as lock:  # another session may be installing something else
        fcntl.flock(lock, fcntl.LOCK_EX)
        session.run("apt-get", "update", "-qq", external=True, silent=True)
        options = ("install", "-y", "-qq", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=600")
        quiet = {"DEBIAN_FRONTEND": "noninteractive"}
        session.run("apt-get", *options, package, external=True, silent=True, env=quiet)


def provide_proxies(session: nox.Session) -> None:
    """Install nginx and Caddy for the nightly tests, which are skipped where that is not possible."""
    if NIGHTLY and may_install():
        provide(session, "nginx", "nginx", "/usr/sbin/nginx")
        provide(session, "caddy", "caddy")


def provide_postgres(session: nox.Session) -> None:
    """See to it that PostgreSQL is here, whose programs Debian keeps off the PATH."""
    provide(session, "postgresql", "initdb", *map(str, Path("/usr/lib/postgresql").glob("*/bin/initdb")))


def run_in_pairs(session: nox.Session, *names: str, **env: str) -> None:
    """Run sessions in a nox of their own: two at a time where there are two processors, the longest ones first."""
    pairs = ("--parallel", "2", "--allow-parallel") if (os.cpu_count() or 1) > 1 else ()
    command = (sys.executable, "-m", "nox", *pairs, *session.posargs, "--sessions", *names)
    # Once interrupted, it takes a moment to end the sessions that it has started.
    session.run(*command, external=True, env=env, interrupt_timeout=15, terminate_timeout=5)


ONE_EACH = (
    "coverage",
    "server",
    "cluster",
    "suite",
    "lowest",
    "browser",
    "typing",
    "compat",
    "docs",
    "package",
    "lint",
)


@nox.session(python=False)
def tests(session: nox.Session) -> None:
    """Run every check; arguments go to the nox that runs them: `-- --reuse-existing-virtualenvs`."""
    run_in_pairs(session, *ONE_EACH, "telemetry(newest)")
    session.log("Every check passed.")


@nox.session(python=False)
def nightly(session: nox.Session) -> None:
    """Run every check at its full size, and everything on every Python, which is fetched if it is absent."""
    path = os.environ["PATH"]
    for python in ABSENT:
        folder = Path(".nox", "pythons", python).resolve()
        if unpack_python(session, python, folder):
            path += os.pathsep + str(folder / "usr" / "bin")
    run_in_pairs(session, "chaos", *ONE_EACH, "examples", "telemetry", "extras", AIRPLANE_NIGHTLY="1", PATH=path)
    session.log("Every check passed, at its full size.")


def unpack_python(session: nox.Session, python: str, folder: Path) -> bool:
    """Unpack that Python out of Debian's unstable distribution. Return False if this is not Debian's root."""
    if not may_install():
        return False
    session.run("bash", ".ci/unpack-python", python, str(folder), external=True, success_codes=[0, 3])
    return (folder / "usr" / "bin" / f"python{python}").exists()


@nox.session
def build(session: nox.Session) -> None:
    """Build the source distribution and, out of it, the wheel that the other sessions install."""
    install(session, "build", package=False)
    shutil.rmtree("dist", ignore_errors=True)
    session.run("python", "-m", "build", "--no-isolation", silent=True)


@nox.session(requires=["build"])
def package(session: nox.Session) -> None:
    """Test that builds are the same bit for bit, and what they contain; arguments go to pytest."""
    install(session, "package", package=False)
    session.run("python", "-m", "pytest", "tests/package", "-m", "package", *session.posargs)


@nox.session(requires=["build"])
@nox.parametrize("names", ["", *EXTRAS, ",".join(EXTRAS)], ids=["none", *EXTRAS, "all"])
def extras(session: nox.Session, names: str) -> None:
    """Use the built wheel with some extras in an empty environment, and see that it names the others."""
    locked = [line.partition("\\")[0] for line in Path("requirements/test.txt").read_text("utf-8").splitlines()]
    constraints = Path(session.create_tmp(), "constraints.txt")
    constraints.write_text("\n".join(line for line in locked if "==" in line), encoding="utf-8")
    (wheel,) = Path("dist").glob("*.whl")
    session.install("--constraint", str(constraints), f"{wheel}[{names}]" if names else str(wheel))
    session.run("python", "-W", "error", "tests/package/try_extras.py", *filter(None, names.split(",")))


@nox.session(python=PRESENT, requires=["build"])
def suite(session: nox.Session) -> None:
    """Run the test suite against the installed wheel; arguments go to pytest."""
    for python in ABSENT:
        session.warn(f"Python {python} was not found here: its suite is skipped.")
    install(session, "test")
    if session.python == OLDEST:  # measuring takes its time, and nothing in the package depends on the version
        measure_tests(session)
    else:
        repeat_tests(session, *(VARYING if session.python == PRESENT[-1] else BETWEEN))


@nox.session(python=OLDEST, requires=["build"])
def server(session: nox.Session) -> None:
    """Run the tests of server, command line and two examples, which `suite` leaves out; arguments go to pytest."""
    install(session, "test")
    provide_proxies(session)
    run_tests(session, "-m", WHOLE, *(session.posargs or UNMEASURED))
    if not session.posargs:
        test_examples(session, *(folder for folder in EXAMPLES if folder.name in DOWNSTREAM))


@nox.session(python=OLDEST, requires=["build"])
def examples(session: nox.Session) -> None:
    """Run the tests of the projects in examples/; arguments are names of projects."""
    install(session, "examples")
    if may_install():  # or else the tests that need promtool are skipped
        provide(session, "prometheus", "promtool")
    test_examples(session, *(folder for folder in EXAMPLES if not session.posargs or folder.name in session.posargs))


@nox.session(python=OLDEST, requires=["build"])
def lowest(session: nox.Session) -> None:
    """Run the test suite on the lower bounds of the dependencies; arguments go to pytest."""
    install(session, "lowest")
    repeat_tests(session, *VARYING)


@nox.session(python=OLDEST, requires=["build"])
def browser(session: nox.Session) -> None:
    """Test the pages in a real Chromium; arguments go to pytest."""
    install(session, "browser")
    provide(session, "chromium", "chromium", "google-chrome")
    provide_proxies(session)
    session.run(
        "python", "-m", "pytest", "-m", f"browser{GATE}", *(session.posargs or ["tests/server/web", "tests/cli"])
    )


@nox.session(requires=["build"])
def screenshots(session: nox.Session) -> None:
    """Take the pictures of the pages in the documentation anew."""
    install(session, "browser")
    provide(session, "chromium", "chromium", "google-chrome")
    session.run("python", "docs/screenshots.py")


@nox.session(requires=["build"])
def trace_picture(session: nox.Session) -> None:
    """Draw the picture of the trace in the documentation anew."""
    install(session, "demo")
    session.run("python", "-m", "docs.trace_picture")


@nox.session(python=OLDEST, requires=["build"])
def cluster(session: nox.Session) -> None:
    """Test servers that share a PostgreSQL, and kill and freeze them; arguments go to pytest."""
    install(session, "test")
    provide_postgres(session)
    provide(session, "pgbouncer", "pgbouncer", "/usr/sbin/pgbouncer")
    run_tests(session, "-m", f"postgres and not slow{GATE}", *(session.posargs or ("tests/server", "tests/chaos")))


@nox.session(python=OLDEST, requires=["build"])
def compat(session: nox.Session) -> None:
    """Test the server by the API's official clients for Python and JavaScript; arguments go to pytest."""
    install(session, "test", "compat-python")
    if not shutil.which("npm"):
        session.skip("needs npm")
    folder = Path(session.create_tmp(), "node")
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree("tests/compat/node", folder)
    with session.chdir(folder):
        session.run("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", external=True, silent=True)
    env = {"NODE_PATH": str(folder.resolve() / "node_modules")}
    session.run("python", "-m", "pytest", "tests/compat", "-m", f"compat{GATE}", *session.posargs, env=env)


@nox.session(python=OLDEST, requires=["build"])
@nox.parametrize("versions", ["telemetry", "telemetry-lowest"], ids=["newest", "lowest"])
def telemetry(session: nox.Session, versions: str) -> None:
    """Test the client beside other instrumentation and through a collector; arguments go to pytest."""
    install(session, versions)
    session.run("python", "-m", "pytest", "tests/telemetry", "-m", f"telemetry{GATE}", *session.posargs)


@nox.session(requires=["build"])
def load(session: nox.Session) -> None:
    """Count the sessions per second of one server and of several on one PostgreSQL; arguments go to the benchmark."""
    install(session, "test")
    provide_postgres(session)
    session.run("python", "benchmarks/cluster.py", *session.posargs, env={"PYTHONPATH": "."})


@nox.session(requires=[f"suite-{OLDEST}"])
def coverage(session: nox.Session) -> None:
    """Demand that the suite has covered every branch."""
    install(session, "coverage", package=False)
    session.run("coverage", "report")


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, formatting, plain English, spelling and what the workflows of GitHub may do."""
    install(session, "lint", package=False)
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")
    session.run("zizmor", "--offline", "--quiet", "--persona", "auditor", ".github")
    session.run("python", "tests/house/language.py")
    session.run("codespell", "src", "docs", "examples", *map(str, sorted(Path().glob("*.md"))))


@nox.session(requires=["build"])
def typing(session: nox.Session) -> None:
    """Check the types of the package, and of its installed wheel as its users see them."""
    install(session, "typing")
    session.run("mypy", "src")
    session.run("mypy", "tests/typing")
    cache = Path(".mypy_cache", "examples").resolve()  # one for all, which use the same packages
    for folder in EXAMPLES:
        with session.chdir(folder):
            session.run("mypy", "--cache-dir", str(cache), ".")
    session.run("python", "-m", "pytest", "-m", "nightly", "tests/docs/test_typed_pages.py")
    session.run("pyright")


@nox.session(requires=["build"])
def docs(session: nox.Session) -> None:
    """Build the documentation; a warning is an error, as is a public name or an error text that it does not have."""
    install(session, "docs")
    session.run("sphinx-build", "-W", "--keep-going", "-E", "-q", "docs", "docs/_build")
    session.run("python", "docs/site_check.py", "docs/_build")


@nox.session(requires=["build"])
def demo(session: nox.Session) -> None:
    """Start the demo: a server and a client that talks to it; arguments go to the demo."""
    install(session, "demo")
    session.run("python", "-m", "airplane_runbooks.server.demo", *session.posargs)


@nox.session(requires=["build"])
def demo_async(session: nox.Session) -> None:
    """Start the demo's async twin: two hundred sessions at once; arguments go to the demo."""
    install(session, "demo")
    session.run("python", "-m", "airplane_runbooks.server.demo_async", *session.posargs)


@nox.session(requires=["build"])
def bench(session: nox.Session) -> None:
    """Measure the client beside its peers; arguments go to the benchmarks."""
    install(session, "bench")
    session.run("python", "-m", "benchmarks.client", *session.posargs)


@nox.session(requires=["build"])
def bench_server(session: nox.Session) -> None:
    """Measure the server beside bare DBOS, an earlier commit and the disk; arguments go to the benchmark."""
    install(session, "bench")
    provide_postgres(session)
    session.run("python", "-m", "benchmarks.server", *session.posargs)


@nox.session(requires=["build"])
def chaos(session: nox.Session) -> None:
    """Run the tests that are too long for every day; arguments go to pytest."""
    install(session, "test")
    provide_postgres(session)
    session.run("python", "-m", "pytest", "-m", "slow", "-rP", "--durations=0", *session.posargs)


@nox.session
def lock(session: nox.Session) -> None:
    """Pin and hash what the sessions install; `-- --upgrade` takes the newest of everything."""
    install(session, "lock", package=False)
    for name, inputs in LOCKS.items():
        compile_lock(session, name, *inputs)
    # beside what is tested, so that both can be installed together
    compile_lock(session, "compat-python", "--group", "compat", "-c", "requirements/test.txt")
    groups, itself = EXTRAS.values(), PROJECT["name"]
    direct = [*PROJECT["dependencies"], *(one for extra in groups for one in extra if not one.startswith(itself))]
    bounds = Path(session.create_tmp(), "lowest.in")
    bounds.write_text("\n".join(map(floor, direct)), encoding="utf-8")
    compile_lock(session, "lowest", str(bounds), "--group", "test")
    compile_lock(session, "telemetry-lowest", str(bounds), "--group", "telemetry")


def compile_lock(session: nox.Session, name: str, *inputs: str) -> None:
    """Write one file of requirements/, valid for every supported Python and system."""
    options = ["--universal", "--python-version", OLDEST, "--generate-hashes", "--no-annotate", "--quiet"]
    options += ["--custom-compile-command", "nox -s lock", "--output-file", f"requirements/{name}.txt"]
    session.run("uv", "pip", "compile", *inputs, *options, *session.posargs)


def floor(dependency: str) -> str:
    """Turn `name>=1.2,<2` into `name==1.2`."""
    requirement = Requirement(dependency)
    (bound,) = (part.version for part in requirement.specifier if part.operator == ">=")
    requirement.specifier = SpecifierSet(f"=={bound}")
    return str(requirement)
