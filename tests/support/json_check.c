// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
#include "json_check.h"

#include "base/text.h"

#include <stddef.h>
#include <string.h>

/* Each function returns what follows its part, or NULL. */
static const char *value(const char *s);

static const char *blanks(const char *s) { return s + strspn(s, " \t\r\n"); }

static const char *string(const char *s)
{
    if (*s++ != '"')
        return NULL;
    while (*s != '"') {
        size_t n = text_utf8_bytes(s, strlen(s));
        if (n == 0 || (unsigned char)*s < 0x20)
            return NULL;
        if (*s != '\\') {
            s += n;
            continue;
        }
        s++;
        if (*s == 'u' && strspn(s + 1, "0123456789abcdefABCDEF") >= 4)
            s += 5;
        else if (*s && strchr("\"\\/bfnrt", *s))
            s++;
        else
            return NULL;
    }
    return s + 1;
}

static const char *digits(const char *s)
{
    size_t n = strspn(s, "0123456789");
    return n ? s + n : NULL;
}

static const char *number(const char *s)
{
    s += *s == '-';
    s = *s == '0' ? s + 1 : digits(s);
    if (s && *s == '.')
        s = digits(s + 1);
    if (s && (*s == 'e' || *s == 'E')) {
        s++;
        s = digits(s + (*s == '+' || *s == '-'));
    }
    return s;
}

static const char *list(const char *s, char close)
{
    s = blanks(s + 1);
    if (*s == close)
        return s + 1;
    for (;;) {
        if (close == '}') {
            s = string(s);
            s = s ? blanks(s) : NULL;
            if (!s || *s++ != ':')
                return NULL;
        }
        s = value(blanks(s));
        s = s ? blanks(s) : NULL;
        if (!s || (*s != ',' && *s != close))
            return NULL;
        if (*s++ == close)
            return s;
        s = blanks(s);
    }
}

static const char *value(const char *s)
{
    static const char *const words[] = {"true", "false", "null"};
    for (int i = 0; i < 3; i++)
        if (strncmp(s, words[i], strlen(words[i])) == 0)
            return s + strlen(words[i]);
    return *s == '{' ? list(s, '}') : *s == '[' ? list(s, ']') : *s == '"' ? string(s) : number(s);
}

bool json_valid(const char *text)
{
    const char *end = value(blanks(text));
    return end && *blanks(end) == '\0';
}
