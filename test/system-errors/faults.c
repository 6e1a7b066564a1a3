/*
 * Makes calls to the system fail, or do half of what they were asked, for files below a folder. Loaded into a process and
 * its children with LD_PRELOAD.
 *
 * FAULTS_FOLDER: absolute path without links. FAULTS_RULE: file with the rule that is in force; it may come, change and go at any
 * time, and lies outside of that folder, as FAULTS_HITS, to which each call that was hit is appended: "rule kind path".
 *
 * A rule is one line: NAME KIND HOW ERRNO SKIP COUNT PATH
 *   NAME    of the rule; another name starts the counts again
 *   KIND    open write pwrite sync truncate rename link unlink mkdir read mmap statfs lock, or any. Those that write several parts at
 *           once are as those of one: LMDB takes which of them fits how its pages lie
 *   HOW     fail: nothing is done · full: a write fails that would make its file longer, as on a full disk · short: half of the bytes are written · short-fail: the first write is short, the next ones fail
 *   SKIP    so many calls of the kind succeed first, in each process · COUNT  so many are hit then
 *   PATH    what the path must contain; a dash: anything
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum how { NONE, FAIL, SHORT };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static const char *folder, *rule_file, *hits_file;
static size_t folder_length;
/* Of the rule in force: its name, and the calls of its kind since it came. */
static char known_name[64];
static long calls;

__attribute__((constructor)) static void start(void) {
  folder = getenv("FAULTS_FOLDER");
  rule_file = getenv("FAULTS_RULE");
  hits_file = getenv("FAULTS_HITS");
  if (rule_file == NULL || hits_file == NULL) folder = NULL;
  if (folder != NULL) folder_length = strlen(folder);
}

static int is_below(const char *path) {
  return strncmp(path, folder, folder_length) == 0 && (path[folder_length] == '/' || path[folder_length] == 0);
}

static void note_hit(const char *name, const char *kind, const char *path) {
  char line[PATH_MAX + 128];
  int length = snprintf(line, sizeof line, "%s %s %s\n", name, kind, path + folder_length);
  int fd = syscall(SYS_openat, AT_FDCWD, hits_file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (fd < 0) abort();
  if (syscall(SYS_write, fd, line, length) < length) abort();
  syscall(SYS_close, fd);
}

/* What becomes of a call to this path; errno is set where it fails. */
static enum how fate(const char *kind, const char *path, int can_be_short, int makes_longer) {
  if (folder == NULL || path == NULL || !is_below(path)) return NONE;
  int before = errno;
  char text[512], name[64], wanted[32], how[32], part[256];
  int error;
  long skip, count;
  enum how result = NONE;
  int fd = syscall(SYS_openat, AT_FDCWD, rule_file, O_RDONLY | O_CLOEXEC, 0);
  if (fd >= 0) {
    ssize_t length = syscall(SYS_read, fd, text, sizeof text - 1);
    syscall(SYS_close, fd);
    text[length > 0 ? length : 0] = 0;
    if (sscanf(text, "%63s %31s %31s %d %ld %ld %255s", name, wanted, how, &error, &skip, &count, part) == 7 &&
        (strcmp(wanted, kind) == 0 || strcmp(wanted, "any") == 0) &&
        (strcmp(how, "full") != 0 || makes_longer) && (strcmp(part, "-") == 0 || strstr(path + folder_length, part) != NULL)) {
      pthread_mutex_lock(&lock);
      if (strcmp(name, known_name) != 0) {
        strcpy(known_name, name);
        calls = 0;
      }
      long call = calls++ - skip;
      pthread_mutex_unlock(&lock);
      if (call >= 0 && call < count) {
        int is_short = strcmp(how, "short") == 0 || (strcmp(how, "short-fail") == 0 && call == 0);
        result = !is_short ? FAIL : can_be_short ? SHORT : NONE;
        if (result != NONE) note_hit(name, kind, path);
      }
    }
  }
  errno = result == FAIL ? error : before;
  return result;
}

static enum how fate_of_write(const char *kind, int fd, int can_be_short, off64_t end) {
  char link[64], path[PATH_MAX];
  if (folder == NULL || fd < 0) return NONE;
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = syscall(SYS_readlink, link, path, sizeof path - 1);
  if (length <= 0) return NONE;
  path[length] = 0;
  struct stat now;
  int makes_longer = end > 0 && fstat(fd, &now) == 0 && end > now.st_size;
  return fate(kind, path, can_be_short, makes_longer);
}

static enum how fate_of_file(const char *kind, int fd) { return fate_of_write(kind, fd, 0, 0); }

static enum how fate_of_path(const char *kind, const char *path) {
  char whole[PATH_MAX * 2];
  if (folder == NULL || path == NULL) return NONE;
  if (path[0] == '/') return fate(kind, path, 0, 0);
  if (getcwd(whole, PATH_MAX) == NULL) return NONE;
  strcat(whole, "/");
  strncat(whole, path, PATH_MAX - 1);
  return fate(kind, whole, 0, 0);
}

#define MODE_OF(flags) \
  mode_t mode = 0; \
  if ((flags) & (O_CREAT | O_TMPFILE)) { \
    va_list list; \
    va_start(list, flags); \
    mode = va_arg(list, mode_t); \
    va_end(list); \
  }

static int open_at(int at, const char *path, int flags, mode_t mode) {
  if ((at == AT_FDCWD || path[0] == '/') && fate_of_path("open", path) == FAIL) return -1;
  return syscall(SYS_openat, at, path, flags, mode);
}

int open(const char *path, int flags, ...) { MODE_OF(flags) return open_at(AT_FDCWD, path, flags, mode); }
int open64(const char *path, int flags, ...) { MODE_OF(flags) return open_at(AT_FDCWD, path, flags | O_LARGEFILE, mode); }
int openat(int at, const char *path, int flags, ...) { MODE_OF(flags) return open_at(at, path, flags, mode); }
int openat64(int at, const char *path, int flags, ...) { MODE_OF(flags) return open_at(at, path, flags | O_LARGEFILE, mode); }

static size_t half(size_t bytes) { return bytes > 1 ? bytes / 2 : bytes; }

ssize_t write(int fd, const void *data, size_t bytes) {
  enum how how = fate_of_write("write", fd, 1, lseek64(fd, 0, SEEK_CUR) + bytes);
  return how == FAIL ? -1 : syscall(SYS_write, fd, data, how == SHORT ? half(bytes) : bytes);
}

ssize_t pwrite(int fd, const void *data, size_t bytes, off_t offset) {
  enum how how = fate_of_write("pwrite", fd, 1, offset + bytes);
  return how == FAIL ? -1 : syscall(SYS_pwrite64, fd, data, how == SHORT ? half(bytes) : bytes, offset);
}
ssize_t pwrite64(int fd, const void *data, size_t bytes, off64_t offset) { return pwrite(fd, data, bytes, offset); }

static size_t bytes_of(const struct iovec *parts, int count) {
  size_t bytes = 0;
  for (int at = 0; at < count; at++) bytes += parts[at].iov_len;
  return bytes;
}

/* The first half of the bytes of a list, in `shorter`, which has room for `count` parts. */
static int first_half(const struct iovec *parts, int count, struct iovec *shorter) {
  size_t left = half(bytes_of(parts, count));
  int used = 0;
  for (; used < count && left > 0; used++) {
    shorter[used].iov_base = parts[used].iov_base;
    shorter[used].iov_len = parts[used].iov_len < left ? parts[used].iov_len : left;
    left -= shorter[used].iov_len;
  }
  return used;
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
  enum how how = fate_of_write("write", fd, 1, lseek64(fd, 0, SEEK_CUR) + bytes_of(parts, count));
  if (how == FAIL) return -1;
  if (how == NONE) return syscall(SYS_writev, fd, parts, count);
  struct iovec shorter[count];
  return syscall(SYS_writev, fd, shorter, first_half(parts, count, shorter));
}

static ssize_t pwritev_raw(int fd, const struct iovec *parts, int count, off64_t offset) {
  return syscall(SYS_pwritev, fd, parts, count, (unsigned long)offset, (unsigned long)((uint64_t)offset >> 32));
}

ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t offset) {
  enum how how = fate_of_write("pwrite", fd, 1, offset + bytes_of(parts, count));
  if (how == FAIL) return -1;
  if (how == NONE) return pwritev_raw(fd, parts, count, offset);
  struct iovec shorter[count];
  return pwritev_raw(fd, shorter, first_half(parts, count, shorter), offset);
}
ssize_t pwritev64(int fd, const struct iovec *parts, int count, off64_t offset) { return pwritev(fd, parts, count, offset); }

int fsync(int fd) { return fate_of_file("sync", fd) == FAIL ? -1 : syscall(SYS_fsync, fd); }
int fdatasync(int fd) { return fate_of_file("sync", fd) == FAIL ? -1 : syscall(SYS_fdatasync, fd); }

int ftruncate(int fd, off_t length) { return fate_of_file("truncate", fd) == FAIL ? -1 : syscall(SYS_ftruncate, fd, length); }
int ftruncate64(int fd, off64_t length) { return ftruncate(fd, length); }

int rename(const char *from, const char *to) { return fate_of_path("rename", from) == FAIL ? -1 : syscall(SYS_rename, from, to); }
int link(const char *from, const char *to) { return fate_of_path("link", from) == FAIL ? -1 : syscall(SYS_link, from, to); }
int unlink(const char *path) { return fate_of_path("unlink", path) == FAIL ? -1 : syscall(SYS_unlink, path); }
int mkdir(const char *path, mode_t mode) { return fate_of_path("mkdir", path) == FAIL ? -1 : syscall(SYS_mkdir, path, mode); }

ssize_t read(int fd, void *data, size_t bytes) { return fate_of_file("read", fd) == FAIL ? -1 : syscall(SYS_read, fd, data, bytes); }
ssize_t pread(int fd, void *data, size_t bytes, off_t offset) {
  return fate_of_file("read", fd) == FAIL ? -1 : syscall(SYS_pread64, fd, data, bytes, offset);
}
ssize_t pread64(int fd, void *data, size_t bytes, off64_t offset) { return pread(fd, data, bytes, offset); }

void *mmap(void *at, size_t bytes, int protection, int flags, int fd, off_t offset) {
  if (!(flags & MAP_ANONYMOUS) && fate_of_file("mmap", fd) == FAIL) return MAP_FAILED;
  return (void *)syscall(SYS_mmap, at, bytes, protection, flags, fd, offset);
}
void *mmap64(void *at, size_t bytes, int protection, int flags, int fd, off64_t offset) {
  return mmap(at, bytes, protection, flags, fd, offset);
}

int statfs(const char *path, struct statfs *found) { return fate_of_path("statfs", path) == FAIL ? -1 : syscall(SYS_statfs, path, found); }
int statfs64(const char *path, struct statfs64 *found) { return statfs(path, (struct statfs *)found); }

static int is_lock(int command) { return command == F_SETLK || command == F_SETLKW || command == F_OFD_SETLK || command == F_OFD_SETLKW; }

static int fcntl_of(int fd, int command, void *argument) {
  if (is_lock(command) && fate_of_file("lock", fd) == FAIL) return -1;
  return syscall(SYS_fcntl, fd, command, argument);
}
#define ARGUMENT_OF(command) \
  va_list list; \
  va_start(list, command); \
  void *argument = va_arg(list, void *); \
  va_end(list);
int fcntl(int fd, int command, ...) { ARGUMENT_OF(command) return fcntl_of(fd, command, argument); }
int fcntl64(int fd, int command, ...) { ARGUMENT_OF(command) return fcntl_of(fd, command, argument); }
int flock(int fd, int operation) { return fate_of_file("lock", fd) == FAIL ? -1 : syscall(SYS_flock, fd, operation); }
