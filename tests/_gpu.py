"""A GPU that is not there: CUDA C++ compiled as C++ for the host, and a driver that calls one thread after the other.

What is kutta's own, the text, the arrays and the calls of the driver, is that of a GPU; memory is the host's.
"""

import contextlib
import ctypes

import torch

from kutta.solvers.engines.kernel import gpu, nvrtc
from kutta.solvers.engines.kernel.build import library

# What the words of CUDA C++ mean on the host. The kernel is renamed, and `run` calls it for every thread.
WORDS = """
#include <math.h>
#include <string.h>
#define __device__
#define __global__
#define __forceinline__ inline
#define __noinline__ __attribute__((noinline))
#define __launch_bounds__(threads)
#define __grid_constant__
struct Index { unsigned x; };
static Index blockIdx, blockDim, threadIdx;
static double __longlong_as_double(long long bits) { double x; memcpy(&x, &bits, 8); return x; }
#define run run_thread
"""
EVERY_THREAD = """
#undef run
extern "C" void run(const Job *job, unsigned blocks, unsigned threads) {
  for (blockDim.x = threads, blockIdx.x = 0; blockIdx.x < blocks; blockIdx.x++)
    for (threadIdx.x = 0; threadIdx.x < threads; threadIdx.x++) run_thread(*job);
}
"""
# The driver's functions, by their prototypes in cuda.h. An image is the path of a library.
DRIVER = """
#include <dlfcn.h>
typedef unsigned u;
typedef void (*Kernel)(const void *, u, u);
extern "C" {
int launches = 0;
int cuModuleLoadData(void **module, const void *image) {
  return (*module = dlopen((const char *)image, RTLD_NOW)) ? 0 : 200;
}
int cuModuleGetFunction(void **function, void *module, const char *name) {
  return (*function = dlsym(module, name)) ? 0 : 500;
}
int cuLaunchKernel(void *f, u gx, u gy, u gz, u bx, u by, u bz, u shared, void *stream, void **args, void **extra) {
  if (gy != 1 || gz != 1 || by != 1 || bz != 1 || shared || extra || stream != (void *)7) return 1;
  return launches++, ((Kernel)f)(args[0], gx, bx), 0;
}
int cuGetErrorString(int code, const char **text) { *text = "no such image"; return 0; }
}
"""


def as_host_cpp(source):
    return WORDS + source + EVERY_THREAD


def image(source, architecture):
    """In the place of NVRTC: the path of the library that stands for a binary."""
    assert architecture == "sm_90"
    return library(as_host_cpp(source))._name.encode() + b"\0"


def install(monkeypatch):
    """Let the kernel engine take the CPU for a GPU; returns the driver."""
    driver = library(DRIVER)
    monkeypatch.setattr(gpu, "driver", lambda: driver)
    monkeypatch.setattr(gpu, "binary", image)
    monkeypatch.setattr(gpu, "_stream", lambda device: contextlib.nullcontext(7))
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    there = gpu.GPU(torch.device("cuda", 0))
    monkeypatch.setattr("kutta.solvers.engines.kernel.engine.machine_for", lambda device, threads: there)
    return driver


# The functions of NVRTC: a binary is the options and the source; "error" is what does not compile.
NVRTC = """
#include <string>
static std::string *made(void *program) { return (std::string *)program; }
extern "C" {
int compilations = 0;
int nvrtcVersion(int *major, int *minor) { return *major = 13, *minor = 0, 0; }
const char *nvrtcGetErrorString(int code) { return "out of order"; }
int nvrtcCreateProgram(void **program, const char *source, const char *, int headers, const char **, const char **) {
  return *program = new std::string(source), headers;
}
int nvrtcCompileProgram(void *program, int count, const char *const *options) {
  std::string text;
  for (int i = 0; i < count; i++) text += std::string(options[i]) + "\\n";
  return compilations++, made(program)->insert(0, text), made(program)->find("error") != std::string::npos ? 6 : 0;
}
int nvrtcGetCUBINSize(void *program, size_t *size) { return *size = made(program)->size(), 0; }
int nvrtcGetCUBIN(void *program, char *text) { return made(program)->copy(text, made(program)->size()), 0; }
int nvrtcGetProgramLogSize(void *program, size_t *size) { return *size = made(program)->size() + 1, 0; }
int nvrtcGetProgramLog(void *program, char *text) {
  return text[made(program)->copy(text, made(program)->size())] = 0;
}
int nvrtcDestroyProgram(void **program) { return delete made(*program), *program = nullptr, 0; }
}
"""


def install_nvrtc(monkeypatch):
    compiler = library(NVRTC)
    monkeypatch.setattr(nvrtc, "nvrtc", lambda: compiler)
    ctypes.c_int.in_dll(compiler, "compilations").value = 0
    return compiler
