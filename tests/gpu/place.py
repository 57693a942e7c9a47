# SPDX-License-Identifier: MIT
"""Where tests/gpu/run works: what is built and how, what the machine has, and what programs are
started with."""
import glob
import json
import mmap
import os
import re
import shutil
import subprocess
import sys
import threading
import time

import apps

SOURCES = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(SOURCES))
PACKAGES = ("torch", "transformers", "accelerate", "triton", "jax", "cupy")
WANTED = ("tests/gpu/experiments", "tests/gpu/decoder", "interpose/libvramshim.so", "tools/vramshim",
          "tests/gpu/libvramshim-look.so")

# Read before they are needed: on a machine that has just started, packages come from a slow disk.
VERSIONS = """
import importlib, importlib.metadata as metadata, json, os, sys
os.nice(10)
found = {"python": sys.version.split()[0]}
for name in sys.argv[1:]:
    try:
        importlib.import_module(name)
        names = metadata.packages_distributions().get(name, [name])
        found[name] = metadata.version(names[0])
    except Exception as error:
        found[name] = f"none ({type(error).__name__})"
print(json.dumps(found))
"""

PROBE = """
import ctypes, sys
count = ctypes.c_int()
driver = ctypes.CDLL("libcuda.so.1")
sys.exit(driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count)) or count.value < 1)
"""


def has_card():
    """Asked in a process of its own: a driver does not survive a fork."""
    try:
        return subprocess.run([sys.executable, "-c", PROBE], stderr=subprocess.DEVNULL,
                              timeout=60).returncode == 0
    except subprocess.TimeoutExpired:
        sys.exit("run: the driver does not answer; see nvidia-smi, or go on with --sim")


def memory():
    """Bytes of host memory that the kernel shows now, and that are free."""
    with open("/proc/meminfo", encoding="ascii") as file:
        text = file.read()
    return tuple(int(re.search(rf"{name}:\s*(\d+)", text)[1]) << 10
                 for name in ("MemTotal", "MemAvailable"))


PIECE, AT_ONCE, LEFT_FREE = 256 * apps.MIB, 8, 3 * apps.GIB


def use_memory():
    """Some pieces of memory that are really there; fewer where the kernel refuses."""
    held, populate = [], 23  # MADV_POPULATE_WRITE

    def take():
        try:
            piece = mmap.mmap(-1, PIECE)
            piece.madvise(populate)
            held.append(piece)
        except OSError:
            pass
    threads = [threading.Thread(target=take) for _ in range(AT_ONCE)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return held


def grow_memory(wanted, look=memory, use=use_memory, wait=time.sleep):
    """Has a virtual machine, whose memory grows as it is used, show so much of it. Returns what it
    shows then. Stops where nothing grows: something else would be ended for it."""
    held, waits = [], 0
    while waits < 10:
        shown, free = look()
        if shown >= wanted:
            break
        if free < LEFT_FREE + PIECE * AT_ONCE:
            wait(0.2)
            waits += 1
            continue
        waits = 0
        taken = use()
        held += taken
        if not taken:
            break
    for piece in held:
        piece.close()
    return look()[0]


class Place:
    """Where programs, the library and the simulated driver are."""

    def __init__(self, build, simulated, python):
        self.sources = SOURCES
        self.build = build
        self.simulated = simulated
        self.python = python
        self.work = os.path.join(build, "gpu")
        os.makedirs(self.work, exist_ok=True)
        self.own_libraries = self.lacking()
        self.profile = "none"  # what was measured of the card, once it was
        self.compiler, self.lacks = None, "no nvcc"
        self.packages = None

    def find(self, *names):
        for name in names:
            path = os.path.join(self.build, name)
            if os.path.exists(path):
                return path
        return None

    def binary(self, name):
        if name == "gemms" and not self.simulated:
            return self.compiled(name)
        return self.find(f"tests/gpu/{name}", name)

    def tool(self):
        return self.find("tools/vramshim", "vramshim")

    def library(self):
        return self.find("interpose/libvramshim.so", "libvramshim.so")

    def looking(self):
        """The library with something in it that looks at launches."""
        return self.find("tests/gpu/libvramshim-look.so", "libvramshim-look.so")

    # What takes long and needs no card is begun early, beside the first questions.

    def begin(self, compute):
        """`compute` is the card's capability, 9.0."""
        if self.simulated:
            return
        nvcc = shutil.which("nvcc") or shutil.which("/usr/local/cuda/bin/nvcc")
        cublas = nvcc and self.cublas(os.path.dirname(os.path.dirname(os.path.realpath(nvcc))))
        if cublas:
            self.compiler = subprocess.Popen(
                [nvcc, "-O2", "-std=c++17", f"-arch=sm_{round(compute * 10)}", "-o",
                 os.path.join(self.work, "gemms"), os.path.join(SOURCES, "apps", "gemms.cu"), *cublas],
                env=self.environment(), text=True, errors="replace", stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        self.lacks = None if cublas else "no cuBLAS for nvcc" if nvcc else "no nvcc"
        self.packages = subprocess.Popen(
            [self.python, "-c", VERSIONS, *PACKAGES], env=self.environment(), text=True,
            errors="replace", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)

    def cublas(self, toolkit):
        """What nvcc is told of cuBLAS: that of its toolkit, else that of a Python package; None where
        there is neither."""
        if os.path.exists(os.path.join(toolkit, "include", "cublas_v2.h")):
            return ["-lcublas"]
        said = subprocess.run([self.python, "-c", "import nvidia; print(*nvidia.__path__, sep='\\n')"],
                              text=True, capture_output=True).stdout
        for folder in said.splitlines():
            for header in glob.glob(os.path.join(folder, "*", "include", "cublas_v2.h")):
                place = os.path.dirname(os.path.dirname(header))
                for library in glob.glob(os.path.join(place, "lib", "libcublas.so*")):
                    return ["-I", os.path.dirname(header), "-Xlinker", library, "-Xlinker",
                            f"-rpath={os.path.dirname(library)}"]
        return None

    def versions(self, seconds):
        """Of the packages that programs use, as far as they are known by then."""
        if not self.packages:
            return {}
        try:
            return json.loads(self.packages.communicate(timeout=max(seconds, 1))[0])
        except (subprocess.TimeoutExpired, ValueError):
            return {}

    def end(self):
        for process in (self.compiler, self.packages):
            if process and process.poll() is None:
                process.kill()
                process.wait()

    def compiled(self, name):
        """A CUDA C++ program, by the toolkit of this machine."""
        if not self.compiler:
            raise apps.Skipped(self.lacks)
        try:
            errors = self.compiler.communicate(timeout=120)[1]
        except subprocess.TimeoutExpired:
            raise apps.Failed("nvcc: no end in 120 seconds") from None
        if self.compiler.returncode:
            raise apps.Failed(f"nvcc: {apps.last_line(errors)}")
        return os.path.join(self.work, name)

    def environment(self):
        """Of a program without the library."""
        kept = {key: value for key, value in os.environ.items()
                if not key.startswith(("VRAMSHIM_", "SIM_")) and key != "LD_PRELOAD"}
        kept.update(HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1", TOKENIZERS_PARALLELISM="false",
                    CUBLAS_WORKSPACE_CONFIG=":4096:8", PYTHONDONTWRITEBYTECODE="1",
                    TORCHINDUCTOR_CACHE_DIR=os.path.join(self.work, "inductor"),
                    TRITON_CACHE_DIR=os.path.join(self.work, "triton"),
                    CUPY_CACHE_DIR=os.path.join(self.work, "cupy"))
        if self.simulated:
            libraries = [os.path.join(self.build, "tests", part) for part in ("sim", "cudart", "cublas")]
            kept["LD_LIBRARY_PATH"] = ":".join(libraries + [kept.get("LD_LIBRARY_PATH", "")])
            kept.update(SIM_ORDER="timed", SIM_PROFILE=os.environ.get("SIM_PROFILE", "rtx3060"),
                        SIM_HOST_RAM="16GiB")
        if self.own_libraries:
            kept["LD_LIBRARY_PATH"] = f"{kept.get('LD_LIBRARY_PATH', '')}:{self.own_libraries}".strip(":")
        return kept

    def lacking(self):
        """A folder with those of the libraries that --pack copied which are not on this machine; None
        where nothing is lacking."""
        packed, own = os.path.join(self.build, "lib"), os.path.join(self.work, "lib")
        asked = [path for path in (self.library(), self.tool()) if path]
        if not os.path.isdir(packed):
            return None
        shutil.rmtree(own, ignore_errors=True)
        while asked:
            said = subprocess.run(["ldd", *asked], text=True, capture_output=True).stdout
            asked = []
            for name in set(re.findall(r"(\S+) => not found", said)):
                copy = os.path.join(own, name)
                if os.path.exists(os.path.join(packed, name)) and not os.path.exists(copy):
                    os.makedirs(own, exist_ok=True)
                    shutil.copy(os.path.join(packed, name), copy)
                    asked.append(copy)
        return own if os.path.isdir(own) else None

    def shimmed(self, budget=None, engine=None, library=None):
        """The same under the library, with so many bytes of the card for what it pages."""
        log = os.path.join(self.work, "summary")
        if os.path.exists(log):
            os.remove(log)
        environment = self.environment()
        preloaded = [os.environ.get("LD_PRELOAD", ""), library or self.library()]
        environment.update(LD_PRELOAD=" ".join(filter(None, preloaded)), VRAMSHIM_SUMMARY="1",
                           VRAMSHIM_LOG_FILE=log, VRAMSHIM_PROFILE=self.profile)
        if budget:
            environment["VRAMSHIM_VRAM"] = str(int(budget))
        if engine:
            environment["VRAMSHIM_ENGINE"] = engine
        if self.simulated:
            environment["VRAMSHIM_CHUNK"] = "2MiB"
        return environment, log

    def chunk(self):
        return apps.MIB * (2 if self.simulated else 16)


def tool_named(name):
    """A build tool's command, also where it came as a Python package of an interpreter's own."""
    beside = os.path.join(os.path.dirname(sys.executable), name)
    return shutil.which(name) or (beside if os.access(beside, os.X_OK) else None)


def build_with_meson(build, simulated, seconds):
    """Builds what is needed, and no more: "" or, where that cannot be done, why."""
    meson, ninja = tool_named("meson"), tool_named("ninja")
    if not meson or not ninja:
        return f"there is no {'ninja' if meson else 'meson'}"
    steps = [[ninja, "-C", build, *WANTED, *(["tests/sim/libcuda.so.1"] if simulated else [])]]
    if not os.path.exists(os.path.join(build, "build.ninja")):
        steps.insert(0, [meson, "setup", build, TOP])
    try:
        for words in steps:
            done = subprocess.run(words, text=True, errors="replace", stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, timeout=max(seconds, 1))
            if done.returncode:
                return next((line for line in done.stdout.splitlines() if "ERROR" in line or
                             "error:" in line), apps.last_line(done.stdout))
    except subprocess.TimeoutExpired:
        return f"no end in {seconds:.0f} seconds"
    return ""


def pack(build, folder):
    """What a machine without the means to build needs: --build FOLDER there."""
    place = Place(build, False, sys.executable)
    paths = (place.binary("experiments"), place.binary("decoder"), place.tool(), place.library(),
             place.looking())
    if not all(paths):
        sys.exit("run: build it first")
    os.makedirs(os.path.join(folder, "lib"), exist_ok=True)
    for path in paths:
        shutil.copy(path, folder)
    said = subprocess.run(["ldd", *paths], text=True, capture_output=True).stdout
    for match in re.finditer(r"(lib(?!c\.|m\.|dl\.|rt\.|pthread\.)\S+\.so\S*) => (/\S+)", said):
        shutil.copy(match[2], os.path.join(folder, "lib", match[1]))
    print(f"{folder}: for tests/gpu/run --build {folder}")
