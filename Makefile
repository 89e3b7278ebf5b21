# SPDX-FileCopyrightText: The Patchmark authors
# SPDX-License-Identifier: Apache-2.0
#
#   make         set-up and build/patchmark
#   make bench   set-up, build, a clip, parity, timings, plots
#   make test    set-up, build, all tests
#   make deps    set-up alone          make WITHOUT="ffmpeg papi"   (or all) builds without them
#   make selftest  100 minutes: that 'compare' raises no false alarm and misses no slowdown
#   make asan | tsan   the tests under sanitizers     make fuzz     make clean
#   make kills   a sweep is killed at 50 random moments and gone on with; KILLS=N
#
# On a machine with an NVIDIA GPU:
#   make gpu-check     everything that only a GPU can tell, within minutes; GPU_CHECK=parity,linear
#   make gpu-bundle    build/gpu-bundle.tar.gz: the same for a machine without compilers
#   make cuda-report   registers, shared memory and spills of every CUDA kernel (needs nvcc alone)
#
# Set-up may install libraries, and what is there decides what is built, so the public targets
# install first and then start make again on the build proper.

SHELL := /bin/bash
B ?= build
WITHOUT ?=
# make's own default is cc, which ?= would leave in place.
ifeq ($(origin CC),default)
  CC := gcc
endif
CXX ?= g++
# As many jobs as processors, unless make was called with -j of its own.
JOBS = $(if $(findstring jobserver,$(MAKEFLAGS)),,-j$(shell nproc 2>/dev/null || echo 2))

.PHONY: all bench test deps cuda-report gpu-check gpu-bundle selftest program emulated tests check kills asan tsan fuzz clean format FORCE
.DEFAULT_GOAL := all

all: deps
	@$(MAKE) --no-print-directory $(JOBS) program
bench: deps
	@$(MAKE) --no-print-directory $(JOBS) program
	@harness/scripts/bench.sh $(B)
test: deps
	@$(MAKE) --no-print-directory $(JOBS) program tests
	@$(MAKE) --no-print-directory check
deps:
	@WITHOUT="$(WITHOUT)" harness/scripts/deps.sh $(MAKECMDGOALS)
cuda-report: deps
	@$(MAKE) --no-print-directory $(JOBS) program
	@harness/scripts/cuda_report.sh $(B)
# Is compare to be believed? 100 minutes; what is done is kept when it is interrupted.
# SELFTEST="--suites 6 --budget 4" scales it.
selftest: deps
	@$(MAKE) --no-print-directory $(JOBS) program
	@$(B)/patchmark selftest $(SELFTEST)
gpu-check: deps
	@$(MAKE) --no-print-directory $(JOBS) program $(if $(HAVE_cuda),$(B)/calibrate)
	@harness/scripts/gpu_check.sh $(B)
gpu-bundle: deps
	@harness/scripts/gpu_bundle.sh
clean:
	rm -rf $(B)

# ---- what this machine has ---------------------------------------------------------------------

OPTIONAL := openblas papi benchmark gnuplot ffmpeg jansson hwloc sentencepiece cuda
ifeq ($(WITHOUT),all)
  OFF := $(OPTIONAL)
else
  OFF := $(WITHOUT)
endif
on = $(if $(filter $(1),$(OFF)),,$(shell $(2) >/dev/null 2>&1 && echo yes))
NVCC ?= $(firstword $(shell command -v nvcc) $(wildcard $(CUDA_HOME)/bin/nvcc /usr/local/cuda/bin/nvcc))
FFMPEG_PC := libavformat libavcodec libswscale libavutil

HAVE_openblas  := $(call on,openblas,pkg-config --exists openblas)
HAVE_papi      := $(call on,papi,pkg-config --exists papi)
HAVE_benchmark := $(call on,benchmark,command -v $(CXX) && pkg-config --exists benchmark)
HAVE_gnuplot   := $(call on,gnuplot,command -v gnuplot)
HAVE_ffmpeg    := $(call on,ffmpeg,pkg-config --exists $(FFMPEG_PC))
HAVE_jansson   := $(call on,jansson,pkg-config --exists jansson)
HAVE_hwloc     := $(call on,hwloc,pkg-config --exists hwloc)
HAVE_sentencepiece := $(call on,sentencepiece,command -v $(CXX) && pkg-config --exists sentencepiece)
HAVE_cuda      := $(call on,cuda,test -n "$(NVCC)")
# 12.5 brought the call by which tensor maps are made without linking the driver.
CUDA_OLD       := $(if $(HAVE_cuda),$(shell $(NVCC) --version | sed -n 's/.*release \([0-9]*\)\.\([0-9]*\).*/\1 \2/p' | \
                  awk '{ if ($$1 * 100 + $$2 < 1205) print $$1 "." $$2 }'))
HAVE_cuda      := $(if $(CUDA_OLD),,$(HAVE_cuda))
CUDA_DIR       := $(if $(HAVE_cuda),$(patsubst %/bin/nvcc,%,$(realpath $(NVCC))))
# Attention in one operation came with cuDNN 9.13; older headers lack its name.
HAVE_cudnn     := $(call on,cuda,test -n "$(CUDA_DIR)" && grep -q OPERATION_SDPA_FWD_DESCRIPTOR $(CUDA_DIR)/include/cudnn_graph*.h)

FEATURES := $(foreach f,$(OPTIONAL),$(if $(HAVE_$(f)),$(f)))
MISSING  := $(filter-out $(FEATURES),$(OPTIONAL))
PC := $(foreach f,openblas papi benchmark jansson hwloc,$(if $(HAVE_$(f)),$(f))) $(if $(HAVE_ffmpeg),$(FFMPEG_PC))
PC_CFLAGS := $(if $(strip $(PC)),$(shell pkg-config --cflags $(PC)))
PC_LIBS   := $(if $(strip $(PC)),$(shell pkg-config --libs $(PC)))

# ---- flags -------------------------------------------------------------------------------------

ARCH := $(shell uname -m)
WARN := -Wall -Wextra -Wshadow -Wpointer-arith -Wno-unknown-pragmas -Wno-missing-field-initializers
CFLAGS ?= -O2 -g
BASE := -std=c11 -D_GNU_SOURCE $(WARN) $(CFLAGS) $(SANITIZE) -fopenmp -fno-math-errno -MMD -MP
HAVE_DEFS := $(foreach f,$(FEATURES),-DHAVE_$(shell echo $(f) | tr a-z A-Z))

FLAGS_kernels   := -Ikernels
FLAGS_reference := -Ikernels -Ireference -ffp-contract=off
FLAGS_harness   := -Ikernels -Ireference -Iharness -I$(B) $(HAVE_DEFS) $(PC_CFLAGS)
FLAGS_tests     := $(FLAGS_harness) -Itests

# Kernel targets: the flags that a file's first word selects, and why it may not be built. An open
# list: a new target is one line here.
TARGET_FLAGS_c        := -ffp-contract=off
TARGET_FLAGS_avx2     := -O3 -mavx2 -mfma -mf16c
TARGET_FLAGS_avx512   := -O3 -mavx512f -mavx512bw -mavx512dq -mavx512vl -mfma
TARGET_FLAGS_neon     := -O3
TARGET_FLAGS_avx512bf16 := $(TARGET_FLAGS_avx512) -mavx512bf16
TARGET_FLAGS_avx512fp16 := $(TARGET_FLAGS_avx512) -mavx512fp16
TARGET_FLAGS_avx512vnni := $(TARGET_FLAGS_avx512) -mavx512vnni
TARGET_FLAGS_avxvnni  := $(TARGET_FLAGS_avx2) -mavxvnni
TARGET_FLAGS_neonbf16 := -O3 -march=armv8.2-a+bf16
TARGET_FLAGS_neonfp16 := -O3 -march=armv8.2-a+fp16
TARGET_FLAGS_neondot  := -O3 -march=armv8.2-a+dotprod
TARGET_FLAGS_neoni8mm := -O3 -march=armv8.2-a+i8mm
TARGET_FLAGS_amx      := -O3 -mamx-tile -mamx-bf16 -mamx-int8
TARGET_FLAGS_openblas := $(if $(HAVE_openblas),$(shell pkg-config --cflags openblas))
TARGET_WHY_avx2       := $(if $(filter x86_64,$(ARCH)),,compiled for x86-64 only)
TARGET_WHY_avx512     := $(TARGET_WHY_avx2)
TARGET_WHY_neon       := $(if $(filter aarch64,$(ARCH)),,compiled for aarch64 only)
TARGET_WHY_openblas   := $(if $(HAVE_openblas),,OpenBLAS is not installed or switched off)
TARGETS := c avx2 avx512 neon openblas cuda sm80 sm90 cublaslt cudnn
# CUDA targets: machine code for the A100 and Hopper generations, and PTX that newer ones translate.
SM_80  := -gencode arch=compute_80,code=[sm_80,compute_80]
SM_90A := -gencode arch=compute_90a,code=sm_90a
NVCC_FLAGS := -std=c++20 -O3 -lineinfo -Ikernels
NVCC_FLAGS_cuda     := $(SM_80) $(SM_90A)
NVCC_FLAGS_sm80     := $(SM_80) $(SM_90A)
NVCC_FLAGS_sm90     := $(SM_90A)
NVCC_FLAGS_cublaslt := $(SM_80) $(SM_90A)
NVCC_FLAGS_cudnn    := $(SM_80) $(SM_90A)
TARGET_FLAGS_cublaslt := $(if $(HAVE_cuda),-isystem $(CUDA_DIR)/include)
TARGET_FLAGS_cudnn    := $(TARGET_FLAGS_cublaslt)
TARGET_WHY_cuda       := $(if $(HAVE_cuda),,$(if $(CUDA_OLD),the CUDA Toolkit $(CUDA_OLD) is older than 12.5,the CUDA Toolkit is not installed or switched off))
TARGET_WHY_sm80       := $(TARGET_WHY_cuda)
TARGET_WHY_sm90       := $(TARGET_WHY_cuda)
TARGET_WHY_cublaslt   := $(TARGET_WHY_cuda)
TARGET_WHY_cudnn      := $(or $(TARGET_WHY_cuda),$(if $(HAVE_cudnn),,the headers of cuDNN 9.13 or newer are not installed))

variant_target = $(firstword $(subst _, ,$(notdir $(1))))
VARIANT_SRC := $(sort $(wildcard kernels/*/*/*_[0-9][0-9]_*.c kernels/*/*/*_[0-9][0-9]_*.cu))
why_not = $(if $(filter $(call variant_target,$(1)),$(TARGETS)),$(TARGET_WHY_$(call variant_target,$(1))),unknown target $(call variant_target,$(1)))
VARIANT_BUILT := $(foreach s,$(VARIANT_SRC),$(if $(call why_not,$(s)),,$(s)))

# ---- sources -----------------------------------------------------------------------------------

REFERENCE_SRC := $(wildcard reference/*.c reference/*/*.c)
HARNESS_SRC   := $(filter-out harness/main.c,$(wildcard harness/*.c harness/*/*.c))
HARNESS_CC    := $(if $(HAVE_benchmark),harness/timing/gbench.cc) $(if $(HAVE_sentencepiece),harness/prompt/sentencepiece.cc)
obj = $(patsubst %,$(B)/obj/%.o,$(1))
LIB_OBJ := $(call obj,$(VARIANT_BUILT) $(REFERENCE_SRC) $(HARNESS_SRC) $(HARNESS_CC)) $(B)/obj/registry.c.o \
           $(B)/obj/suites.c.o
LIBS := $(PC_LIBS) $(if $(HAVE_cuda),-L$(CUDA_DIR)/lib64 -lcudart_static -lrt) \
        $(if $(HAVE_sentencepiece),-lsentencepiece) \
        $(if $(HAVE_benchmark)$(HAVE_cuda)$(HAVE_sentencepiece),-lstdc++) -lm -ldl -lpthread

program: $(B)/patchmark
$(B)/patchmark: $(B)/obj/harness/main.c.o $(B)/libpatchmark.a
	@$(CC) $(CFLAGS) $(SANITIZE) -fopenmp -o $@ $< $(B)/libpatchmark.a $(LIBS)
	@echo "  built  $@$(if $(MISSING), (without: $(MISSING)))"
$(B)/libpatchmark.a: $(LIB_OBJ)
	@rm -f $@ && $(AR) rcs $@ $^

# Everything depends on the choice of flags and features; a changed choice rebuilds.
CHOICE := $(CC) $(BASE) $(FLAGS_harness) $(LIBS)
$(B)/choice: FORCE
	@mkdir -p $(B)
	@echo '$(CHOICE)' | cmp -s - $@ || echo '$(CHOICE)' >$@
$(B)/build_info.h: FORCE
	@mkdir -p $(B)
	@harness/scripts/build_info.sh '$(CC)' '$(CFLAGS) $(SANITIZE)' '$(MISSING)' >$@.new; \
	 cmp -s $@.new $@ && rm $@.new || mv $@.new $@
$(B)/registry.c: FORCE
	@mkdir -p $(B)
	@{ $(foreach s,$(VARIANT_SRC),echo '$(s)|$(call why_not,$(s))';) } | harness/scripts/registry.sh >$@.new; \
	 cmp -s $@.new $@ && rm $@.new || mv $@.new $@
$(B)/obj/registry.c.o: $(B)/registry.c $(B)/choice
	@mkdir -p $(@D)
	@$(CC) $(BASE) $(FLAGS_harness) -c $< -o $@
# The suites that come with the program are text, held in it.
$(B)/suites.c: harness/scripts/suites.sh $(sort $(wildcard harness/suites/*.txt))
	@mkdir -p $(B)
	@harness/scripts/suites.sh $(filter %.txt,$^) >$@
$(B)/obj/suites.c.o: $(B)/suites.c $(B)/choice
	@mkdir -p $(@D)
	@$(CC) $(BASE) $(FLAGS_harness) -c $< -o $@

compile = mkdir -p $(@D) && echo "  $(if $(filter %.cc,$<),CXX,$(if $(filter %.cu,$<),NVCC,CC)) $<"
$(B)/obj/kernels/%.c.o: kernels/%.c $(B)/choice
	@$(compile) && $(CC) $(BASE) $(FLAGS_kernels) $(TARGET_FLAGS_$(call variant_target,$<)) -c $< -o $@
# nvcc.sh keeps the assembler's report beside the object and fails on what must not be.
$(B)/obj/kernels/%.cu.o: kernels/%.cu $(B)/choice harness/scripts/nvcc.sh
	@$(compile) && NVCC=$(NVCC) harness/scripts/nvcc.sh $< $@ -ccbin $(CXX) $(NVCC_FLAGS) \
	  -MMD -MP -MF $(@:.o=.d) $(NVCC_FLAGS_$(call variant_target,$<))
$(B)/obj/reference/%.c.o: reference/%.c $(B)/choice
	@$(compile) && $(CC) $(BASE) $(FLAGS_reference) -c $< -o $@
# A probe whose flags this compiler does not take is compiled without them, and then holds nothing.
$(B)/obj/harness/peak/%.c.o: harness/peak/%.c $(B)/choice
	@$(compile) && flags='$(TARGET_FLAGS_$(call variant_target,$(*F)))' && \
	  { $(CC) $$flags -x c -c /dev/null -o $@ 2>/dev/null || flags=-O3; } && \
	  $(CC) $(BASE) $(FLAGS_harness) $$flags -c $< -o $@
$(B)/obj/harness/machine/host.c.o: $(B)/build_info.h
$(B)/obj/harness/machine/gpu_cuda.c.o: harness/machine/gpu_cuda.c $(B)/choice
	@$(compile) && $(CC) $(BASE) $(FLAGS_harness) $(if $(HAVE_cuda),-isystem $(CUDA_DIR)/include) -c $< -o $@
$(B)/obj/harness/%.c.o: harness/%.c $(B)/choice
	@$(compile) && $(CC) $(BASE) $(FLAGS_harness) -c $< -o $@
$(B)/obj/harness/%.cc.o: harness/%.cc $(B)/choice
	@$(compile) && $(CXX) -std=c++17 $(WARN) $(CFLAGS) $(SANITIZE) -MMD -MP $(FLAGS_harness) -c $< -o $@

# A test of each name of kernels/target/gpu.h, whose outputs on a GPU and in emulation must agree.
$(B)/calibrate: tests/emu/calibrate.cu kernels/target/gpu.h harness/scripts/nvcc.sh $(B)/choice
	@echo "  NVCC $<"
	@NVCC=$(NVCC) harness/scripts/nvcc.sh $< $(B)/calibrate.cu.o -ccbin $(CXX) $(NVCC_FLAGS) $(SM_80) $(SM_90A)
	@$(CXX) -o $@ $(B)/calibrate.cu.o -L$(CUDA_DIR)/lib64 -lcudart_static -lrt -ldl -lpthread

# ---- the emulated program ----------------------------------------------------------------------
# The kernels for GPUs compiled as C++ against tests/emu, where every CUDA thread is a fiber, in
# three ways: plain, under AddressSanitizer and UBSan, and with its race detector. Needs no CUDA.

EMU_SRC    := $(foreach s,$(filter %.cu,$(VARIANT_SRC)),$(if $(filter cuda sm80 sm90,$(call variant_target,$(s))),$(s)))
EMU_CC     := $(wildcard tests/emu/*.cc)
EMU_BASE   := -std=c++20 -g $(WARN) -fno-strict-aliasing -MMD -MP -Itests/emu -Ikernels
EMU_ASAN   := -fsanitize=address,undefined -fno-sanitize=vptr -fno-sanitize-recover=all
EMU_kernel_opt  := -O2
EMU_kernel_asan := -O1 $(EMU_ASAN)
EMU_kernel_race := -O1 -fsanitize=thread
EMU_model_opt   := -O2
EMU_model_asan  := -O1 $(EMU_ASAN)
EMU_model_race  := -O2 -DEMU_RACE
EMU_link_asan   := $(EMU_ASAN)
# A sanitized build of everything has one way only: its own.
EMU_MODES  := $(if $(shell command -v $(CXX)),$(if $(SANITIZE),$(if $(findstring address,$(SANITIZE)),asan),opt asan race))
emu_why = $(if $(filter $(1),$(EMU_SRC)),,$(if $(filter cublaslt cudnn,$(call variant_target,$(1))),a library that is not emulated,$(call why_not,$(1))))

emulated: $(EMU_MODES:%=$(B)/emu/%/patchmark) $(EMU_MODES:%=$(B)/emu/%/calibrate) $(B)/emu/flags
# How a kernel is compiled for each way, for tests that plant faults in one: "mode<TAB>command".
$(B)/emu/flags: FORCE
	@mkdir -p $(@D)
	@{ :; $(foreach m,$(EMU_MODES),printf '$(m)\t%s\n' '$(CXX) -x c++ $(filter-out -MMD -MP,$(EMU_BASE)) $(EMU_kernel_$(m))';) } >$@
$(B)/emu/registry.c: FORCE
	@mkdir -p $(@D)
	@{ $(foreach s,$(VARIANT_SRC),echo '$(s)|$(call emu_why,$(s))';) } | harness/scripts/registry.sh >$@.new; \
	 cmp -s $@.new $@ && rm $@.new || mv $@.new $@
$(B)/emu/registry.c.o: $(B)/emu/registry.c $(B)/choice
	@$(CC) $(BASE) $(FLAGS_harness) -c $< -o $@
$(B)/emu/machine/gpu_cuda.c.o: harness/machine/gpu_cuda.c $(B)/choice
	@mkdir -p $(@D)
	@$(CC) $(BASE) $(FLAGS_harness) -DHAVE_CUDA -DPATCHMARK_EMULATED -Itests/emu -c $< -o $@
define EMU_RULES
$(B)/emu/$(1)/kernels/%.cu.o: kernels/%.cu $(B)/choice
	@mkdir -p $$(@D) && echo "  EMU $(1) $$<"
	@$(CXX) -x c++ $(EMU_BASE) $(EMU_kernel_$(1)) -c $$< -o $$@
$(B)/emu/$(1)/%.cc.o: tests/emu/%.cc $(B)/choice
	@mkdir -p $$(@D) && echo "  EMU $(1) $$<"
	@$(CXX) $(EMU_BASE) $(EMU_model_$(1)) -c $$< -o $$@
$(B)/emu/$(1)/patchmark: $(B)/obj/harness/main.c.o $(B)/emu/registry.c.o \
    $(B)/emu/machine/gpu_cuda.c.o \
    $(EMU_SRC:%=$(B)/emu/$(1)/%.o) $(EMU_CC:tests/emu/%=$(B)/emu/$(1)/%.o) $(B)/libpatchmark.a
	@$(CXX) $(CFLAGS) $(SANITIZE) $(EMU_link_$(1)) -fopenmp -rdynamic -o $$@ $$^ $(LIBS) -lstdc++
$(B)/emu/$(1)/calibrate: tests/emu/calibrate.cu $(EMU_CC:tests/emu/%=$(B)/emu/$(1)/%.o)
	@$(CXX) $(EMU_BASE) $(EMU_kernel_$(1)) -x c++ -c $$< -o $$@.o
	@$(CXX) $(EMU_link_$(1)) -o $$@ $$@.o $$(filter %.o,$$^) -lpthread
endef
$(foreach mode,$(EMU_MODES),$(eval $(call EMU_RULES,$(mode))))

# ---- tests -------------------------------------------------------------------------------------

CHECKS := $(patsubst tests/%.c,%,$(sort $(wildcard tests/check_*.c)))
TEST_SUPPORT := $(wildcard tests/support/*.c)
PLUGINS := $(patsubst tests/%.c,$(B)/tests/%.so,$(wildcard tests/plugin/*.c tests/broken/*.c))

tests: program emulated $(CHECKS:%=$(B)/tests/%) $(PLUGINS)
$(B)/tests/check_%: $(B)/obj/tests/check_%.c.o $(call obj,$(TEST_SUPPORT)) $(B)/libpatchmark.a
	@mkdir -p $(@D)
	@$(CC) $(CFLAGS) $(SANITIZE) -fopenmp -o $@ $^ -lcmocka $(LIBS)
$(B)/obj/tests/%.c.o: tests/%.c $(B)/choice
	@$(compile) && $(CC) $(BASE) $(FLAGS_tests) $(if $(SANITIZE),-DSANITIZED) -DBUILD_DIR='"$(B)"' -c $< -o $@
$(B)/tests/%.so: tests/%.c $(B)/choice
	@$(compile) && $(CC) $(BASE) $(FLAGS_kernels) -fPIC -shared -o $@ $<
check:
	@tests/run.sh $(B) $(CHECKS)
KILLS ?= 50
kills: $(B)/patchmark $(B)/tests/check_sweep $(PLUGINS)
	@SWEEP_KILLS=$(KILLS) tests/run.sh $(B) check_sweep

# Sanitizers write to files, because a worker's stderr belongs to its supervisor; one file is a
# failure. All threads are OpenMP's, and only LLVM's runtime (through its tool Archer) tells
# ThreadSanitizer about its barriers: with GCC's every parallel loop would be a false alarm.
# Division of floats by zero is IEEE's, and infinite operands are meant to reach it.
FLAGS_asan := -fsanitize=address,undefined,float-cast-overflow,bounds-strict -fno-sanitize-recover=all
FLAGS_tsan := -fsanitize=thread
CC_asan := $(CC)
CC_tsan := clang
CXX_asan := $(CXX)
CXX_tsan := clang++
NEEDS_asan := $(CC) and its sanitizers
NEEDS_tsan := clang with OpenMP (Debian: clang libomp-dev)
# Freed memory is held back, but little of it: a process that grows is mistrusted as one that leaks.
asan tsan:
	@mkdir -p build/$@ && rm -f build/$@/found.*
	@echo 'int main(void) { return 0; }' | $(CC_$@) -fopenmp $(FLAGS_$@) -x c -o build/$@/probe - || \
	 { echo "make $@ needs $(NEEDS_$@)" >&2; exit 2; }
	@export TEST_LIMIT_S=600 UBSAN_OPTIONS="print_stacktrace=1 log_path=build/$@/found" \
	     ASAN_OPTIONS="log_path=build/$@/found:quarantine_size_mb=16" \
	     TSAN_OPTIONS="ignore_noninstrumented_modules=1 handle_segv=0 log_path=build/$@/found"; \
	 $(MAKE) --no-print-directory test B=build/$@ CC=$(CC_$@) CXX=$(CXX_$@) SANITIZE="$(FLAGS_$@)"; \
	 code=$$?; ! cat build/$@/found.* 2>/dev/null && [ $$code = 0 ]

# The reader of weights files, fed by libFuzzer for FUZZ_SECONDS from the tests' malformed files.
FUZZ_SECONDS ?= 60
fuzz:
	@echo 'int LLVMFuzzerTestOneInput(void); int LLVMFuzzerTestOneInput(void) { return 0; }' | \
	 clang -fsanitize=fuzzer -x c - -o /dev/null 2>/dev/null || { echo "make fuzz needs clang and its runtime (Debian: clang)" >&2; exit 2; }
	@mkdir -p build/fuzz/corpus
	@$(MAKE) --no-print-directory $(JOBS) program build/tests/check_safetensors
	@PATCHMARK_CORPUS=build/fuzz/corpus build/tests/check_safetensors >/dev/null
	@clang -g -O1 -std=c11 -D_GNU_SOURCE -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all \
	  -Ikernels -Ireference -Iharness tests/fuzz_safetensors.c harness/weights/safetensors.c \
	  harness/weights/safetensors_header.c reference/elem.c -lm -o build/fuzz/safetensors
	build/fuzz/safetensors -max_total_time=$(FUZZ_SECONDS) -print_final_stats=1 build/fuzz/corpus
format:
	clang-format -i $$(git ls-files '*.c' '*.h' '*.cc' '*.cu')

.SECONDARY:
-include $(shell find $(B)/obj $(B)/emu $(B)/tests -name '*.d' 2>/dev/null)
