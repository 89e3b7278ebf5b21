// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* slow_clock.h   Makes every file of this process that asks for the time ask here, where it passes
 * four times as slowly. */
#ifndef PATCHMARK_BROKEN_SLOW_CLOCK_H
#define PATCHMARK_BROKEN_SLOW_CLOCK_H

#include <elf.h>
#include <link.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { TIMES = 4 };

static int slow_gettime(clockid_t clock, struct timespec *out)
{
    static struct timespec first[16];
    const int code = clock_gettime(clock, out);
    if (code != 0 || clock < 0 || clock >= 16)
        return code;
    if (!first[clock].tv_sec)
        first[clock] = *out;
    const int64_t gone = (int64_t)(out->tv_sec - first[clock].tv_sec) * 1000000000 +
                         (out->tv_nsec - first[clock].tv_nsec);
    const int64_t told = first[clock].tv_nsec + gone / TIMES;
    out->tv_sec = first[clock].tv_sec + told / 1000000000;
    out->tv_nsec = told % 1000000000;
    return 0;
}

static void redirect(ElfW(Addr) * slot)
{
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), at = (uintptr_t)slot / page * page;
    if (mprotect((void *)at, page, PROT_READ | PROT_WRITE) == 0)
        *slot = (ElfW(Addr))slow_gettime;
}

struct tables {
    const ElfW(Sym) * symbol;
    const char *name;
    const ElfW(Rela) * rela[2];
    size_t bytes[2];
};

static struct tables tables_of(const struct dl_phdr_info *info, const ElfW(Dyn) * d)
{
    struct tables t = {0};
    for (; d->d_tag != DT_NULL; d++) {
        const ElfW(Addr) at =
            d->d_un.d_ptr < info->dlpi_addr ? d->d_un.d_ptr + info->dlpi_addr : d->d_un.d_ptr;
        if (d->d_tag == DT_SYMTAB)
            t.symbol = (const void *)at;
        else if (d->d_tag == DT_STRTAB)
            t.name = (const void *)at;
        else if (d->d_tag == DT_RELA)
            t.rela[0] = (const void *)at;
        else if (d->d_tag == DT_JMPREL)
            t.rela[1] = (const void *)at;
        else if (d->d_tag == DT_RELASZ)
            t.bytes[0] = d->d_un.d_val;
        else if (d->d_tag == DT_PLTRELSZ)
            t.bytes[1] = d->d_un.d_val;
    }
    return t;
}

static int patch_file(struct dl_phdr_info *info, size_t size, void *user)
{
    (void)size, (void)user;
    const ElfW(Dyn) *dynamic = NULL;
    bool own = false;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *h = &info->dlpi_phdr[i];
        const ElfW(Addr) at = info->dlpi_addr + h->p_vaddr, here = (ElfW(Addr))patch_file;
        if (h->p_type == PT_DYNAMIC)
            dynamic = (const void *)at;
        own = own || (h->p_type == PT_LOAD && here >= at && here < at + h->p_memsz);
    }
    if (own || !dynamic || strstr(info->dlpi_name, "linux-vdso"))
        return 0;
    const struct tables t = tables_of(info, dynamic);
    for (int k = 0; k < 2; k++)
        for (size_t i = 0; t.rela[k] && i < t.bytes[k] / sizeof *t.rela[k]; i++) {
            const ElfW(Rela) *r = &t.rela[k][i];
            const ElfW(Sym) *symbol = &t.symbol[ELF64_R_SYM(r->r_info)];
            if (ELF64_R_SYM(r->r_info) && !strcmp(t.name + symbol->st_name, "clock_gettime"))
                redirect((ElfW(Addr) *)(info->dlpi_addr + r->r_offset));
        }
    return 0;
}

static inline void slow_clock_start(void)
{
    static bool started;
    if (!started)
        dl_iterate_phdr(patch_file, NULL);
    started = true;
}

#endif
