/*
 * fs/acl.h - POSIX access control lists as the kernel hands them over: the
 * value of system.posix_acl_access and _default (linux/posix_acl_xattr.h:
 * version 2, little-endian entries in a fixed order). Pure; who may do what is
 * the kernel's to judge. The rules are those of POSIX.1e draft 17 and acl(5).
 */
#ifndef PLURI_FS_ACL_H
#define PLURI_FS_ACL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/types.h"

#define ACL_ACCESS "system.posix_acl_access"
#define ACL_DEFAULT "system.posix_acl_default"
#define ACL_BYTES_MAX 65536u

/* -EINVAL: not a list, or not a lawful one. A list without any entry is
 * lawful and means none. */
int acl_check(struct pluri_span list);

/* Lists below have passed acl_check() and have entries. */

/* *mode's permission bits become what the list says. Returns whether it says
 * more than they do. */
bool acl_to_mode(struct pluri_span list, uint32_t *mode);

/* After chmod: the list follows the mode. */
void acl_follow_mode(void *list, size_t len, uint32_t mode);

/*
 * The access list of something new in a directory with this default list,
 * made from a copy of it in place: bounded by the mode asked for, which
 * becomes what it is. Returns as acl_to_mode(). The umask has no part in it.
 */
bool acl_create(void *list, size_t len, uint32_t *mode);

#endif
