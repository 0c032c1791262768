#include <stddef.h>

#include "meta/schema.h"

/*
 * parent is 0 but for directories; the root is its own. A name's cookie is its
 * place in listings: the index serves "after this cookie, in this directory",
 * and has all that a listing tells (in this engine, the name as part of the
 * key), so that it is read from end to end and the table not at all.
 * What trim says is told in meta/extent.h.
 */
const char *schema_files_step(int version)
{
	switch (version) {
	case 1:
		return "CREATE TABLE inode (ino INTEGER NOT NULL PRIMARY KEY,"
		       " mode INTEGER NOT NULL, uid INTEGER NOT NULL,"
		       " gid INTEGER NOT NULL, nlink INTEGER NOT NULL,"
		       " rdev INTEGER NOT NULL, size INTEGER NOT NULL,"
		       " bytes INTEGER NOT NULL, atime INTEGER NOT NULL,"
		       " mtime INTEGER NOT NULL, ctime INTEGER NOT NULL,"
		       " gen INTEGER NOT NULL, policy INTEGER NOT NULL,"
		       " parent INTEGER NOT NULL, target BLOB);"
		       "CREATE TABLE dentry (parent INTEGER NOT NULL,"
		       " name BLOB NOT NULL, ino INTEGER NOT NULL,"
		       " type INTEGER NOT NULL,"
		       " cookie INTEGER NOT NULL,"
		       " PRIMARY KEY (parent, name)) WITHOUT ROWID;"
		       "CREATE UNIQUE INDEX dentry_cookie"
		       " ON dentry (parent, cookie);"
		       "CREATE TABLE xattr (ino INTEGER NOT NULL,"
		       " name BLOB NOT NULL, value BLOB NOT NULL,"
		       " PRIMARY KEY (ino, name)) WITHOUT ROWID;"
		       "CREATE TABLE extent (ino INTEGER NOT NULL,"
		       " off INTEGER NOT NULL, len INTEGER NOT NULL,"
		       " skip INTEGER NOT NULL, chunk INTEGER NOT NULL,"
		       " PRIMARY KEY (ino, off)) WITHOUT ROWID;"
		       "CREATE TABLE orphan"
		       " (ino INTEGER NOT NULL PRIMARY KEY);";
	case 2:
		return "CREATE TABLE trim (ino INTEGER NOT NULL PRIMARY KEY,"
		       " off INTEGER NOT NULL);";
	case 3:
		return "DROP INDEX dentry_cookie;"
		       "CREATE INDEX dentry_list"
		       " ON dentry (parent, cookie, ino, type);";
	default:
		return NULL;
	}
}
