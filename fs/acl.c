#include <errno.h>

#include "fs/acl.h"

#define ACL_VERSION 2u
#define ACL_HEAD 4u /* bytes before the entries */
#define ACL_ENTRY 8u /* bytes: tag 2, permissions 2, id 4 */

enum acl_tag {
	ACL_USER_OBJ = 0x01,
	ACL_USER = 0x02,
	ACL_GROUP_OBJ = 0x04,
	ACL_GROUP = 0x08,
	ACL_MASK = 0x10,
	ACL_OTHER = 0x20
};

static unsigned acl_get16(const uint8_t *p)
{
	return p[0] | (unsigned)p[1] << 8;
}

static uint32_t acl_get32(const uint8_t *p)
{
	return acl_get16(p) | (uint32_t)acl_get16(p + 2) << 16;
}

static size_t acl_count(size_t len)
{
	return (len - ACL_HEAD) / ACL_ENTRY;
}

static const uint8_t *acl_at(const uint8_t *list, size_t i)
{
	return list + ACL_HEAD + i * ACL_ENTRY;
}

/* Permissions of the first entry with this tag; -1: there is none. */
static int acl_perm(const uint8_t *list, size_t len, unsigned tag)
{
	for (size_t i = 0; i < acl_count(len); i++)
		if (acl_get16(acl_at(list, i)) == tag)
			return (int)acl_get16(acl_at(list, i) + 2);
	return -1;
}

static void acl_set(uint8_t *list, size_t len, unsigned tag, unsigned perm)
{
	for (size_t i = 0; i < acl_count(len); i++) {
		uint8_t *e = list + ACL_HEAD + i * ACL_ENTRY;

		if (acl_get16(e) == tag)
			e[2] = (uint8_t)perm;
	}
}

/* Tags ascend; those without an id stand once. */
static bool acl_follows(const uint8_t *before, const uint8_t *e)
{
	const unsigned tag = acl_get16(e);
	const unsigned last = acl_get16(before);

	return tag > last ||
	       (tag == last && (tag == ACL_USER || tag == ACL_GROUP));
}

static bool acl_entry_good(const uint8_t *e)
{
	const unsigned tag = acl_get16(e);

	if (acl_get16(e + 2) > 7)
		return false;
	switch (tag) {
	case ACL_USER:
	case ACL_GROUP:
		return acl_get32(e + 4) != UINT32_MAX;
	case ACL_USER_OBJ:
	case ACL_GROUP_OBJ:
	case ACL_MASK:
	case ACL_OTHER:
		return true;
	default:
		return false;
	}
}

int acl_check(struct pluri_span span)
{
	const uint8_t *list = span.data;
	unsigned seen = 0;

	if (span.len < ACL_HEAD || span.len > ACL_BYTES_MAX ||
		(span.len - ACL_HEAD) % ACL_ENTRY != 0 ||
		acl_get32(list) != ACL_VERSION)
		return -EINVAL;
	for (size_t i = 0; i < acl_count(span.len); i++) {
		if (!acl_entry_good(acl_at(list, i)) ||
			(i > 0 && !acl_follows(acl_at(list, i - 1),
					  acl_at(list, i))))
			return -EINVAL;
		seen |= acl_get16(acl_at(list, i));
	}
	if (seen == 0)
		return 0;
	if ((seen & ACL_USER_OBJ) == 0 || (seen & ACL_GROUP_OBJ) == 0 ||
		(seen & ACL_OTHER) == 0)
		return -EINVAL;
	return (seen & (ACL_USER | ACL_GROUP)) && !(seen & ACL_MASK) ? -EINVAL
								     : 0;
}

bool acl_to_mode(struct pluri_span span, uint32_t *mode)
{
	const uint8_t *list = span.data;
	const int mask = acl_perm(list, span.len, ACL_MASK);
	const int group = acl_perm(list, span.len, ACL_GROUP_OBJ);

	*mode &= ~UINT32_C(0777);
	*mode |= (uint32_t)acl_perm(list, span.len, ACL_USER_OBJ) << 6;
	*mode |= (uint32_t)(mask >= 0 ? mask : group) << 3;
	*mode |= (uint32_t)acl_perm(list, span.len, ACL_OTHER);
	return acl_count(span.len) > 3;
}

/* The entry that the mode's group bits stand for. */
static unsigned acl_group_class(const uint8_t *list, size_t len)
{
	return acl_perm(list, len, ACL_MASK) >= 0 ? ACL_MASK : ACL_GROUP_OBJ;
}

void acl_follow_mode(void *list, size_t len, uint32_t mode)
{
	acl_set(list, len, ACL_USER_OBJ, mode >> 6 & 7);
	acl_set(list, len, acl_group_class(list, len), mode >> 3 & 7);
	acl_set(list, len, ACL_OTHER, mode & 7);
}

bool acl_create(void *list, size_t len, uint32_t *mode)
{
	const struct pluri_span span = {list, len};
	uint32_t most = 0;

	(void)acl_to_mode(span, &most);
	acl_follow_mode(list, len, *mode & most);
	return acl_to_mode(span, mode);
}
