// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* tokenizer_clean.c   Prompts cleaned as the pipelines do it: html.unescape of Python twice, then
 * white space. Nothing grows: every reference is at least as long as the UTF-8 that replaces it, so
 * all is done in place. */
#include "prompt/tokenizer.h"

#include "base/text.h"

#include <stdlib.h>
#include <string.h>

/* ---- names ----------------------------------------------------------------------------------- */

/* Names of consecutive code points. (HTML 4.01, section 24; HTML 5, section 13.5, for the capitals
 * and for lang and rang, whose code points it changed.) */
static const struct {
    uint32_t first;
    const char *names;
} references[] = {
    {0x22, "quot"},
    {0x26, "amp apos"},
    {0x3C, "lt"},
    {0x3E, "gt"},
    {0xA0, "nbsp iexcl cent pound curren yen brvbar sect uml copy ordf laquo not shy reg macr "
           "deg plusmn sup2 sup3 acute micro para middot cedil sup1 ordm raquo frac14 frac12 "
           "frac34 iquest Agrave Aacute Acirc Atilde Auml Aring AElig Ccedil Egrave Eacute Ecirc "
           "Euml Igrave Iacute Icirc Iuml ETH Ntilde Ograve Oacute Ocirc Otilde Ouml times "
           "Oslash Ugrave Uacute Ucirc Uuml Yacute THORN szlig agrave aacute acirc atilde auml "
           "aring aelig ccedil egrave eacute ecirc euml igrave iacute icirc iuml eth ntilde "
           "ograve oacute ocirc otilde ouml divide oslash ugrave uacute ucirc uuml yacute thorn "
           "yuml"},
    {0x152, "OElig oelig"},
    {0x160, "Scaron scaron"},
    {0x178, "Yuml"},
    {0x192, "fnof"},
    {0x2C6, "circ"},
    {0x2DC, "tilde"},
    {0x391, "Alpha Beta Gamma Delta Epsilon Zeta Eta Theta Iota Kappa Lambda Mu Nu Xi Omicron Pi "
            "Rho"},
    {0x3A3, "Sigma Tau Upsilon Phi Chi Psi Omega"},
    {0x3B1, "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi omicron pi "
            "rho sigmaf sigma tau upsilon phi chi psi omega"},
    {0x3D1, "thetasym upsih"},
    {0x3D6, "piv"},
    {0x2002, "ensp emsp"},
    {0x2009, "thinsp"},
    {0x200C, "zwnj zwj lrm rlm"},
    {0x2013, "ndash mdash"},
    {0x2018, "lsquo rsquo sbquo"},
    {0x201C, "ldquo rdquo bdquo"},
    {0x2020, "dagger Dagger bull"},
    {0x2026, "hellip"},
    {0x2030, "permil"},
    {0x2032, "prime Prime"},
    {0x2039, "lsaquo rsaquo"},
    {0x203E, "oline"},
    {0x2044, "frasl"},
    {0x20AC, "euro"},
    {0x2111, "image"},
    {0x2118, "weierp"},
    {0x211C, "real"},
    {0x2122, "trade"},
    {0x2135, "alefsym"},
    {0x2190, "larr uarr rarr darr harr"},
    {0x21B5, "crarr"},
    {0x21D0, "lArr uArr rArr dArr hArr"},
    {0x2200, "forall"},
    {0x2202, "part exist"},
    {0x2205, "empty"},
    {0x2207, "nabla isin notin"},
    {0x220B, "ni"},
    {0x220F, "prod"},
    {0x2211, "sum minus"},
    {0x2217, "lowast"},
    {0x221A, "radic"},
    {0x221D, "prop infin"},
    {0x2220, "ang"},
    {0x2227, "and or cap cup int"},
    {0x2234, "there4"},
    {0x223C, "sim"},
    {0x2245, "cong"},
    {0x2248, "asymp"},
    {0x2260, "ne equiv"},
    {0x2264, "le ge"},
    {0x2282, "sub sup nsub"},
    {0x2286, "sube supe"},
    {0x2295, "oplus"},
    {0x2297, "otimes"},
    {0x22A5, "perp"},
    {0x22C5, "sdot"},
    {0x2308, "lceil rceil lfloor rfloor"},
    {0x25CA, "loz"},
    {0x2660, "spades"},
    {0x2663, "clubs"},
    {0x2665, "hearts diams"},
    {0x27E8, "lang rang"},
    {0x22, "QUOT"},
    {0x26, "AMP"},
    {0x3C, "LT"},
    {0x3E, "GT"},
    {0xA9, "COPY"},
    {0xAE, "REG"},
};

/* Code point of a name without its semicolon; 0 where it is unknown. */
static uint32_t find_name(const char *name, size_t bytes)
{
    for (size_t i = 0; i < sizeof references / sizeof *references; i++) {
        uint32_t code = references[i].first;
        for (const char *at = references[i].names; *at; code++) {
            size_t length = strcspn(at, " ");
            if (length == bytes && memcmp(at, name, bytes) == 0)
                return code;
            at += length + (at[length] == ' ');
        }
    }
    return 0;
}

/* Those of Latin-1 may stand without a semicolon; &apos; came later. */
static uint32_t find_old_name(const char *name, size_t bytes)
{
    uint32_t code = find_name(name, bytes);
    return code < 0x100 && code != '\'' ? code : 0;
}

/* ---- references ------------------------------------------------------------------------------ */

static size_t put_utf8(char *out, uint32_t code)
{
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    size_t bytes = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    for (size_t i = bytes - 1; i > 0; i--, code >>= 6)
        out[i] = (char)(0x80 | (code & 0x3F));
    out[0] = (char)((0xF00 >> bytes & 0xF0) | code);
    return bytes;
}

/* U+0080 .. U+009F are read as windows-1252, where that has a character. */
static uint32_t windows_1252(uint32_t code)
{
    static const uint16_t table[32] = {
        0x20AC, 0,      0x201A, 0x0192, 0x201E, 0x2026, 0x2020, 0x2021, 0x02C6, 0x2030, 0x0160,
        0x2039, 0x0152, 0,      0x017D, 0,      0,      0x2018, 0x2019, 0x201C, 0x201D, 0x2022,
        0x2013, 0x2014, 0x02DC, 0x2122, 0x0161, 0x203A, 0x0153, 0,      0x017E, 0x0178};
    uint32_t mapped = table[code - 0x80];
    return mapped ? mapped : code;
}

/* What a numeric reference stands for, as UTF-8: nothing at all for controls and noncharacters. */
static size_t put_number(char *out, uint32_t code)
{
    if (code == 0 || (code >= 0xD800 && code <= 0xDFFF) || code > 0x10FFFF)
        return put_utf8(out, 0xFFFD);
    if (code >= 0x80 && code <= 0x9F)
        return put_utf8(out, windows_1252(code));
    bool control = (code < 0x20 && !strchr("\t\n\f\r", (int)code)) || code == 0x7F;
    if (control || (code >= 0xFDD0 && code <= 0xFDEF) || (code & 0xFFFE) == 0xFFFE)
        return 0;
    return put_utf8(out, code);
}

/* "#10;", "#xA": bytes read, 0 where no digit follows. */
static size_t numeric_reference(const char *in, char *out, size_t *out_bytes)
{
    const bool hex = in[1] == 'x' || in[1] == 'X';
    const char *digits = in + 1 + hex, *set = hex ? "0123456789abcdefABCDEF" : "0123456789";
    size_t n = strspn(digits, set);
    if (n == 0)
        return 0;
    uint32_t code = 0;
    for (size_t i = 0; i < n && code <= 0x10FFFF; i++) {
        uint32_t c = (uint32_t)digits[i];
        code = code * (hex ? 16 : 10) + (c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
    }
    *out_bytes = put_number(out, code);
    digits += n;
    return (size_t)(digits - in) + (*digits == ';');
}

/* "lt;", "lt", "ltd" (= "<d"): bytes read; 0 where no name is known. At most 32 characters are
 * looked at, and what follows the longest old name stays as it is. */
static size_t named_reference(const char *in, char *out, size_t *out_bytes)
{
    size_t bytes = 0;
    for (int n = 0; n < 32 && in[bytes] && !strchr("\t\n\f <&#;", in[bytes]); n++)
        bytes += text_utf8_bytes(in + bytes, strnlen(in + bytes, 4));
    uint32_t code = in[bytes] == ';' ? find_name(in, bytes) : 0;
    if (code) {
        *out_bytes = put_utf8(out, code);
        return bytes + 1;
    }
    for (; bytes > 1 && !(code = find_old_name(in, bytes)); bytes--)
        ;
    if (!code)
        return 0;
    *out_bytes = put_utf8(out, code);
    return bytes;
}

static void unescape(char *text)
{
    char *out = text;
    for (const char *in = text; *in;) {
        char piece[4];
        size_t written = 0, read = 0;
        if (*in == '&')
            read = in[1] == '#' ? numeric_reference(in + 1, piece, &written)
                                : named_reference(in + 1, piece, &written);
        if (read == 0) {
            *out++ = *in++;
            continue;
        }
        memcpy(out, piece, written);
        out += written;
        in += 1 + read;
    }
    *out = '\0';
}

/* ---- white space ----------------------------------------------------------------------------- */

/* Bytes of the white space at s (Unicode's property White_Space); 0 where there is none. */
static size_t space_bytes(const char *s)
{
    const uint8_t *b = (const uint8_t *)s;
    if ((b[0] >= 0x09 && b[0] <= 0x0D) || b[0] == ' ')
        return 1;
    if (b[0] == 0xC2)
        return b[1] == 0x85 || b[1] == 0xA0 ? 2 : 0;
    if (b[0] < 0xE1 || b[0] > 0xE3)
        return 0;
    uint32_t code = (b[0] & 0x0Fu) << 12 | (b[1] & 0x3Fu) << 6 | (b[2] & 0x3Fu);
    bool space = code == 0x1680 || (code >= 0x2000 && code <= 0x200A) || code == 0x2028 ||
                 code == 0x2029 || code == 0x202F || code == 0x205F || code == 0x3000;
    return space ? 3 : 0;
}

static void collapse(char *text)
{
    char *out = text;
    for (const char *in = text; *in;) {
        size_t space = space_bytes(in);
        if (space == 0)
            *out++ = *in++;
        else if (out == text || out[-1] != ' ')
            *out++ = ' ';
        in += space;
    }
    *out = '\0';
}

/* Python's strip() takes the separators U+001C .. U+001F too, which the pipelines' \s leaves. */
static void strip(char *text)
{
    static const char taken[] = " \x1C\x1D\x1E\x1F";
    size_t begin = strspn(text, taken), bytes = strlen(text);
    while (bytes > begin && strchr(taken, text[bytes - 1]))
        bytes--;
    memmove(text, text + begin, bytes - begin);
    text[bytes - begin] = '\0';
}

/* ---- clean ----------------------------------------------------------------------------------- */

enum status tokenizer_clean(const char *text, char **out, struct fault *fault)
{
    size_t bytes = strlen(text);
    *out = NULL;
    for (size_t at = 0, n; at < bytes; at += n) {
        n = text_utf8_bytes(text + at, bytes - at);
        if (n == 0)
            return fault_set(fault, ST_BAD_INPUT,
                             "the prompt is not UTF-8 at byte %zu; give it in UTF-8", at);
    }
    if (!(*out = strdup(text)))
        return fault_set(fault, ST_NO_MEMORY, "no memory for a prompt of %zu bytes", bytes);
    unescape(*out);
    unescape(*out);
    collapse(*out);
    strip(*out);
    return ST_OK;
}
