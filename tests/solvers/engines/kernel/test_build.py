"""Kernels are compiled once, kept whole, and say what is missing."""

import os

import pytest

from kutta.solvers.engines.kernel import build


@pytest.fixture
def folder(tmp_path, monkeypatch):
    try:
        build.compiler()
    except build.CompilerMissing as missing:
        pytest.skip(str(missing))
    monkeypatch.setenv("KUTTA_CACHE", str(tmp_path / "kernels"))
    return tmp_path / "kernels"


SOURCE = 'extern "C" int answer() { return 42; }'


def test_a_source_is_compiled_once(folder, monkeypatch):
    assert build.library(SOURCE).answer() == 42
    (path,) = folder.iterdir()
    monkeypatch.setattr(build, "_compile", lambda *_: pytest.fail("it was there"))
    assert build.library(SOURCE).answer() == 42
    assert list(folder.iterdir()) == [path] and path.suffix == ".so"


def test_another_source_is_another_library(folder):
    build.library(SOURCE)
    assert build.library(SOURCE.replace("42", "7")).answer() == 7
    assert len(list(folder.iterdir())) == 2


def test_a_source_that_does_not_compile_leaves_nothing(folder):
    with pytest.raises(RuntimeError, match="could not compile the kernel"):
        build.library("this is not C++")
    assert list(folder.iterdir()) == []


def test_a_missing_compiler_is_named(monkeypatch):
    monkeypatch.setattr(build.shutil, "which", lambda name: None)
    build.compiler.cache_clear()
    try:
        with pytest.raises(build.CompilerMissing, match=r"neither g\+\+ nor clang\+\+: install one, or set CXX"):
            build.compiler()
    finally:
        build.compiler.cache_clear()


def test_a_compiler_of_ones_own_must_be_there(monkeypatch):
    monkeypatch.setenv("CXX", "g++ -O0")
    build.compiler.cache_clear()
    try:
        with pytest.raises(build.CompilerMissing, match="CXX must be the path of a C"):
            build.compiler()
    finally:
        build.compiler.cache_clear()


def test_a_broken_library_is_made_anew(folder, monkeypatch):
    folder.mkdir()
    broken = build._compile
    monkeypatch.setattr(build, "_compile", lambda source, path: path.write_bytes(b"half"))
    with pytest.raises(RuntimeError, match="kernels cannot be kept"):
        build.library(SOURCE)
    monkeypatch.setattr(build, "_compile", broken)
    assert build.library(SOURCE).answer() == 42


def test_a_folder_that_cannot_be_used_is_named(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("KUTTA_CACHE", str(tmp_path / "file"))
    with pytest.raises(RuntimeError, match=r"kernels cannot be kept in .*file .*set KUTTA_CACHE"):
        build.library(SOURCE)


def test_where_kernels_are_kept(monkeypatch, tmp_path):
    monkeypatch.delenv("KUTTA_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert build.cache_folder() == tmp_path / "kutta"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert build.cache_folder().name == "kutta" and os.path.isabs(build.cache_folder())


def test_a_compiler_that_does_not_end_is_given_up(folder, tmp_path, monkeypatch):
    slow = tmp_path / "slow"
    slow.write_text("#!/bin/sh\ncase $1 in --version) echo 1;; *) exec sleep 60;; esac\n")
    slow.chmod(0o755)
    monkeypatch.setenv("CXX", str(slow))
    monkeypatch.setattr(build, "PATIENCE", 0.2)
    build.compiler.cache_clear()
    try:
        with pytest.raises(build.CompilerFailed, match=r"took more than 0 s"):
            build.library(SOURCE)
    finally:
        build.compiler.cache_clear()
    assert list(folder.iterdir()) == []


def test_the_oldest_libraries_are_forgotten(folder, monkeypatch):
    monkeypatch.setattr(build, "MOST_KEPT", 2)
    for number in (1, 2, 3):
        assert build.library(SOURCE.replace("42", str(number))).answer() == number
        for path in folder.iterdir():
            os.utime(path, (path.stat().st_mtime - 10,) * 2)
    assert len(list(folder.glob("*.so"))) == 2
