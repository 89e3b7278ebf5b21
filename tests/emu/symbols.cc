// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* symbols.cc   The __shared__ arrays of a kernel are statics of its function, and the symbol table
 * of the program or plug-in knows them: an array's mangled name starts with _ZZ, that of the function and E. In
 * a stripped program none are found, and they are not poisoned between blocks. */
#include "core.h"

#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <map>
#include <string>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

extern "C" const char __ehdr_start[]; /* where the program's file begins in memory */

struct image {
    const char *bytes;
    const Elf64_Sym *symbols;
    size_t count;
    const char *names;
    uintptr_t base;
};

static void find_symbols(struct image *out, uintptr_t base)
{
    const Elf64_Ehdr *header = (const Elf64_Ehdr *)out->bytes;
    const Elf64_Shdr *sections = (const Elf64_Shdr *)(out->bytes + header->e_shoff);
    for (int i = 0; i < header->e_shnum; i++)
        if (sections[i].sh_type == SHT_SYMTAB) {
            out->symbols = (const Elf64_Sym *)(out->bytes + sections[i].sh_offset);
            out->count = sections[i].sh_size / sizeof(Elf64_Sym);
            out->names = out->bytes + sections[sections[i].sh_link].sh_offset;
        }
    out->base = header->e_type == ET_DYN ? base : 0;
}

/* Stays mapped: the names are used for as long as the process lives. */
static struct image image_open(const char *path, uintptr_t base)
{
    struct image out = {};
    struct stat about;
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return out;
    if (fstat(file, &about) == 0) {
        void *bytes = mmap(NULL, about.st_size, PROT_READ, MAP_PRIVATE, file, 0);
        out.bytes = bytes == MAP_FAILED ? NULL : (const char *)bytes;
    }
    close(file);
    if (out.bytes)
        find_symbols(&out, base);
    return out;
}

/* The program, or the plug-in that brought the kernel. */
static const struct image *image_of(const void *kernel)
{
    static std::map<const void *, struct image> opened;
    Dl_info at = {};
    bool plugin = dladdr(kernel, &at) && at.dli_fbase != (const void *)__ehdr_start;
    const void *base = plugin ? at.dli_fbase : (const void *)__ehdr_start;
    auto known = opened.find(base);
    if (known == opened.end())
        known = opened.emplace(base, image_open(plugin ? at.dli_fname : "/proc/self/exe",
                                                (uintptr_t)base)).first;
    return &known->second;
}

static std::vector<struct emu_array> arrays_of(const struct image *image, const char *function)
{
    std::vector<struct emu_array> out;
    std::string prefix = std::string("_ZZ") + (function + 2) + "E";
    for (size_t i = 0; i < image->count; i++) {
        const Elf64_Sym *s = &image->symbols[i];
        const char *name = image->names + s->st_name;
        if (ELF64_ST_TYPE(s->st_info) != STT_OBJECT || strncmp(name, prefix.c_str(), prefix.size()))
            continue;
        name += prefix.size();
        name += strspn(name, "0123456789"); /* the length of the name itself */
        out.push_back({name, (char *)(image->base + s->st_value), s->st_size});
    }
    return out;
}

static const char *function_name(const struct image *image, const void *kernel)
{
    for (size_t i = 0; i < image->count; i++) {
        const Elf64_Sym *s = &image->symbols[i];
        const char *name = image->names + s->st_name;
        if (ELF64_ST_TYPE(s->st_info) == STT_FUNC &&
            image->base + s->st_value == (uintptr_t)kernel && strncmp(name, "_Z", 2) == 0)
            return name;
    }
    return NULL;
}

const std::vector<struct emu_array> *emu_static_shared(const void *kernel)
{
    static std::map<const void *, std::vector<struct emu_array>> known;
    auto at = known.find(kernel);
    if (at == known.end()) {
        const struct image *image = image_of(kernel);
        const char *name = function_name(image, kernel);
        at = known.emplace(kernel, name ? arrays_of(image, name) : std::vector<struct emu_array>())
                 .first;
    }
    return &at->second;
}
