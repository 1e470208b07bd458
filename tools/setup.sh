#!/bin/sh
# setup: what building Pollard takes, and how each system gets it.
#
# tools/demo and tools/test source this file and call set_up. On a machine that has everything, set_up is silent
# and changes nothing. Otherwise it says what is missing and with which commands it is going to install it, asks if
# there is a terminal to ask on, and leaves the work to the system's package manager. This is the one file that
# knows package managers and the names of packages. By itself it can be run too:
#
#   tools/setup.sh [demo|tests]       installs what the demos need, or the tests as well (without a word: the tests)
#
#   CXX=...                 the compiler to use, instead of the first good one found
#   POLLARD_BUILD_DIR=...   another build than build/, which may be configured already (an absolute path)
#   POLLARD_YES=1           do not ask (nor does it ask where CI is set, or where standard input is no terminal)
#
# POSIX sh: FreeBSD has no bash, and the one of macOS is old.
#
# Read next: tools/demo, tools/test.

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd) || exit 1
build=${POLLARD_BUILD_DIR:-$root/build}
me=tools/$(basename -- "$0")

say() { printf '%s\n' "$*" >&2; }
die() {
    say "$me: $*"
    exit 1
}

# What each manager calls the things needed. `newer_compiler` is for a system whose own compiler is too old, `venv`
# for one whose Meson is.
packages='
need              apt-get        dnf                   pacman     pkg          brew
compiler          g++            gcc-c++               gcc        llvm19       llvm
newer_compiler    g++-12         gcc-c++               gcc        llvm19       llvm
meson             meson          meson                 meson      meson        meson
ninja             ninja-build    ninja-build           ninja      ninja        ninja
pkg-config        pkg-config     pkgconf-pkg-config    pkgconf    pkgconf      pkgconf
python3           python3        python3               python     python3      python
venv              python3-venv   python3               python     python3      python
gtest             libgtest-dev   gtest-devel           gtest      googletest   googletest
gdb               gdb            gdb                   gdb        gdb          gdb
mingw             g++-mingw-w64-x86-64
wine              wine
gtest_sources     googletest
'

# package MANAGER NEED...: the names of the packages, on one line.
package() {
    names=
    while read -r need apt_get dnf pacman pkg brew; do
        case $1 in
        apt-get) name=$apt_get ;;
        dnf) name=$dnf ;;
        pacman) name=$pacman ;;
        pkg) name=$pkg ;;
        brew) name=$brew ;;
        esac
        case " $* " in *" $need "*) names="$names $name" ;; esac
    done <<TABLE
$packages
TABLE
    printf '%s\n' "${names# }"
}

describe() {
    case $1 in
    compiler) echo "a C++20 compiler (g++ 12, clang++ 16, or newer)" ;;
    newer_compiler) echo "a newer C++ compiler (g++ 12, clang++ 16, or newer; the ones here are older)" ;;
    meson) echo "Meson 1.0 or newer" ;;
    newer_meson) echo "a newer Meson (1.0; the one here is $meson_version)" ;;
    ninja) echo "Ninja" ;;
    pkg-config) echo "pkg-config" ;;
    python3) echo "Python 3" ;;
    venv) echo "Python's venv module, to install Meson with" ;;
    gtest) echo "GoogleTest, with its headers" ;;
    gdb) echo "gdb (a test runs it)" ;;
    mingw) echo "MinGW-w64's g++, which compiles for Windows" ;;
    wine) echo "Wine, which runs what was compiled for Windows" ;;
    gtest_sources) echo "GoogleTest's sources" ;;
    esac
}

have() { command -v "$1" >/dev/null 2>&1; }

# The compiler judges itself. <span> is there to find one that came without a C++20 library. Apple counts its clang
# by itself: its 15 is clang 16. $1 is split on purpose: CXX may be `ccache g++`.
is_good_compiler() {
    # shellcheck disable=SC2086
    $1 -std=c++20 -x c++ -E - >/dev/null 2>&1 <<'SOURCE'
#include <span>
#if defined(__apple_build_version__)
#if __clang_major__ < 15
#error
#endif
#elif defined(__clang__)
#if __clang_major__ < 16
#error
#endif
#elif __GNUC__ < 12
#error
#endif
SOURCE
}

# Meson takes `c++` unless told otherwise, so anything else is handed to it in CXX.
find_compiler() {
    if [ -n "${CXX:-}" ]; then
        is_good_compiler "$CXX" && return 0
        die "CXX is '$CXX', which does not run or is older than g++ 12 and clang++ 16"
    fi
    for compiler in c++ g++ clang++ g++-15 g++-14 g++-13 g++-12 clang++-20 clang++-19 clang++-18 clang++-17 clang++-16 \
        clang++19 /opt/homebrew/opt/llvm/bin/clang++ /usr/local/opt/llvm/bin/clang++; do
        is_good_compiler "$compiler" || continue
        [ "$compiler" = c++ ] || export CXX="$compiler"
        return 0
    done
    return 1
}

# Sets `meson`, or else `meson_version` to the version of one that is too old, or to nothing when there is none.
find_meson() {
    meson=
    meson_version=
    for candidate in meson "$root/build-meson/bin/meson"; do
        version=$("$candidate" --version 2>/dev/null) || continue
        case $version in
        0.*) meson_version=$version ;;
        [1-9]*)
            meson=$candidate
            return 0
            ;;
        esac
    done
    return 1
}

find_ninja() {
    for ninja in ninja ninja-build samu; do have "$ninja" && return 0; done
    return 1
}

is_configured() { [ -f "$build/build.ninja" ]; }

# Sets `missing`. A configured build has found its compiler and its Meson already: a demo that is started again and
# again need not wait until both have been asked once more.
find_missing() {
    missing=
    if [ "$1" = windows ]; then
        find_missing_for_windows
        return
    fi
    have python3 || missing="$missing python3"
    find_ninja || missing="$missing ninja"
    have "${PKG_CONFIG:-pkg-config}" || missing="$missing pkg-config"
    is_configured || find_compiler || missing="$missing $(missing_compiler)"
    if ! is_configured || [ "$1" = tests ]; then
        find_meson || missing="$missing $(missing_meson)"
    fi
    if [ "$1" = tests ]; then
        "${PKG_CONFIG:-pkg-config}" --exists gtest 2>/dev/null || missing="$missing gtest"
        # Homebrew has no gdb that runs on today's Macs: there the test that runs it is skipped.
        have gdb || [ "$(uname -s)" = Darwin ] || missing="$missing gdb"
    fi
}

# Names of other systems' packages are not known here.
find_missing_for_windows() {
    have python3 || missing="$missing python3"
    find_ninja || missing="$missing ninja"
    find_meson || missing="$missing $(missing_meson)"
    have x86_64-w64-mingw32-g++-posix || missing="$missing mingw"
    have wine || missing="$missing wine"
    [ -d /usr/src/googletest/googletest ] || missing="$missing gtest_sources"
    [ -z "$missing" ] || have apt-get || die "for Windows it takes Debian, or by hand:$missing"
}

missing_compiler() {
    if have c++ || have g++ || have clang++; then echo newer_compiler; else echo compiler; fi
}

# Installing a newer Meson takes Python's venv, which Debian keeps in a package of its own.
missing_meson() {
    if [ -z "$meson_version" ]; then
        echo meson
    elif ! have python3 || python3 -c 'import ensurepip, venv' 2>/dev/null; then
        echo newer_meson
    else
        echo newer_meson venv
    fi
}

# Sets `manager` to this system's package manager.
find_manager() {
    case $(uname -s) in
    Darwin) managers=brew ;;
    FreeBSD | DragonFly) managers=pkg ;;
    *) managers='apt-get dnf pacman brew' ;;
    esac
    for manager in $managers; do have "$manager" && return 0; done
    return 1
}

# install_commands MANAGER PACKAGES: one a line.
install_commands() {
    case $1 in
    apt-get)
        echo "apt-get update"
        echo "env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $2"
        ;;
    dnf) echo "dnf install -y $2" ;;
    pacman)
        # A new container has no list of packages. Where there is one, it is left as it is: a newer list without the
        # newer system (-Sy) is what Arch calls a partial upgrade, and the whole upgrade (-Syu) is not ours to start.
        if ls /var/lib/pacman/sync/*.db >/dev/null 2>&1; then refresh=; else refresh=y; fi
        echo "pacman -S$refresh --needed --noconfirm $2"
        ;;
    pkg) echo "env ASSUME_ALWAYS_YES=yes pkg install -y $2" ;; # the variable: where pkg itself is not there yet
    brew) echo "brew install $2" ;;
    esac
}

# Sets `commands`, one a line, for what a package manager can give.
# Homebrew installs as the user, and refuses to run as root; the others need to be root.
choose_commands() {
    # shellcheck disable=SC2086 # the needs are words
    find_manager || die "none of these package managers is here: $managers. Please install the above by hand" \
        "(in Debian the packages are called: $(package apt-get $missing)), then run $me again."
    # shellcheck disable=SC2086
    commands=$(install_commands "$manager" "$(package "$manager" $missing)")
    if [ "$manager" = brew ] || [ "$(id -u)" = 0 ]; then return 0; fi
    have sudo || die "installing takes root, and there is no sudo. Please run as root, then $me again:
$commands"
    commands=$(printf '%s\n' "$commands" | sed 's/^/sudo /')
}

confirm() {
    [ -t 0 ] && [ -z "${CI:-}" ] && [ "${POLLARD_YES:-}" != 1 ] || return 0
    printf 'Go on? [Y/n] ' >&2
    read -r answer || answer=n
    case $answer in
    '' | [Yy]*) ;;
    *) die "nothing was installed" ;;
    esac
}

run_commands() {
    line_end='
'
    old_ifs=$IFS
    IFS=$line_end
    for command in $commands; do
        IFS=$old_ifs
        if $command; then continue; fi
        case $command in
        # One broken source among many is no reason to stop: whether the packages come is seen in the next command.
        *"apt-get update") say "$me: apt-get update had errors; going on with the lists that are there" ;;
        *) die "this failed: $command" ;;
        esac
    done
    IFS=$old_ifs
}

# A folder of the project, since pip may not write into the system's Python (PEP 668).
install_meson_with_pip() {
    if python3 -m venv --clear "$root/build-meson" &&
        "$root/build-meson/bin/python3" -m pip install --quiet --disable-pip-version-check 'meson>=1.0'; then
        return 0
    fi
    die "pip could not install Meson. Please install Meson 1.0 or newer by hand, then run $me again."
}

# Announces, asks, installs.
install_missing() {
    say "$me: to build Pollard, this machine still needs"
    for need in $missing; do say "  $(describe "$need")"; done
    case $missing in *newer_meson*) with_pip=yes ;; *) with_pip= ;; esac
    commands=
    if [ "$missing" != " newer_meson" ]; then choose_commands; fi

    say "$me: it gets that by"
    if [ -n "$commands" ]; then printf '%s\n' "$commands" | sed 's/^/  /' >&2; fi
    if [ -n "$with_pip" ]; then say "  python3 -m venv build-meson, and pip install 'meson>=1.0' in there"; fi
    confirm
    run_commands
    if [ -n "$with_pip" ]; then install_meson_with_pip; fi
}

# set_up demo|tests|windows: returns when everything needed is there. Only after a first round can be seen that the
# distribution's compiler, or its Meson, is too old; so there may be a second, but none that repeats the one before.
set_up() {
    missing_before=
    find_missing "$1"
    while [ -n "$missing" ]; do
        if [ "$missing" = "$missing_before" ]; then
            die "the commands went well, and the same is missing still. Please install it by hand; is PATH complete?"
        fi
        missing_before=$missing
        install_missing
        find_missing "$1"
    done
}

# quietly COMMAND...: what it prints is shown only when it fails.
quietly() {
    output=$("$@" 2>&1) && return 0
    printf '%s\n' "$output" >&2
    say "$me: this failed: $*"
    return 1
}

configure_build() {
    is_configured && return 0
    say "$me: configuring ${build#"$root"/}"
    # shellcheck disable=SC2086 # words
    quietly "$meson" setup ${setup_arguments:-} "$build" "$root"
}

# build_targets TARGET...: names of Ninja's; `all` is everything.
build_targets() {
    say "$me: building $*"
    quietly "$ninja" -C "$build" "$@"
}

if [ "$me" = tools/setup.sh ]; then
    case ${1:-tests} in
    demo | tests) set_up "${1:-tests}" ;;
    *) sed -n '2,/^$/s/^# \{0,1\}//p' "$0" ;;
    esac
fi
