/**
 * What NVIDIA's libraries import, as `nm -D --undefined-only` tells of those in Debian's packages (non-free):
 * libnvidia-ml1 550.163.01, 535.261.03 and 470.256.02, libnvidia-tesla-450-ml1 450.248.02, libnvidia-tesla-418-ml1
 * 418.226.00, libnvidia-legacy-390xx-ml1 390.157, libcuda1 550.163.01 and 470.256.02, libnvidia-ptxjitcompiler1
 * 550.163.01; for arm64 libnvidia-ml1 and libcuda1 550.163.01.
 */
const words = (text: string): readonly string[] => text.trim().split(/\s+/);

export const DRIVER_IMPORTS = {
  x64: words(`
  _IO_getc _IO_putc _ITM_deregisterTMCloneTable _ITM_registerTMCloneTable _Jv_RegisterClasses __assert_fail
  __cmsg_nxthdr __ctype_b __ctype_b_loc __cxa_atexit __cxa_finalize __errno_location __fxstat __fxstatat
  __getdelim __gmon_start__ __isoc99_fscanf __isoc99_sscanf __lxstat __progname_full __register_atfork
  __sched_cpualloc __sched_cpufree __strdup __strsep_g __strtod_internal __strtok_r __strtol_internal
  __strtoul_internal __strtoull_internal __xmknod __xstat __xstat64 _exit _setjmp abort accept access alarm
  alphasort alphasort64 asprintf atof atoi atol backtrace bind bsearch calloc ceil chmod chown clntunix_create
  clock clock_gettime close closedir connect cos creat dirfd dladdr dlclose dlerror dlopen dlsym dlvsym dup dup2
  dup3 endgrent endmntent eventfd execl execle execvp exit expf faccessat fclose fcntl fdopen fdopendir fegetenv
  feof ferror fesetenv fflush ffsl fgetc fgets fileno floor fopen fork fprintf fputc fputs fread free freeaddrinfo
  freeifaddrs fscanf fseek fsync ftell ftruncate fwrite get_nprocs getaddrinfo getcwd getdomainname getdtablesize
  getegid getenv geteuid getgrent getgroups gethostbyname gethostname getifaddrs getline getmntent_r getpagesize
  getpeername getpid getpwuid getrlimit getservbyname getsockname getsockopt gettimeofday getuid
  gnu_get_libc_version htonl htons if_nametoindex inet_ntoa inet_ntop inet_pton ioctl iopl isalnum isalpha isatty
  iscntrl isspace isxdigit kill listen localtime localtime_r log longjmp lround lseek madvise malloc memalign
  memchr memcmp memcpy memmove memset mkdir mkfifo mkstemp mktime mmap mmap64 modff mprotect munmap nanosleep nftw
  ntohl ntohs open open64 openat opendir openlog pclose perror pipe poll popen posix_memalign pow pread pread64
  printf program_invocation_name pthread_attr_destroy pthread_attr_init pthread_attr_setdetachstate
  pthread_attr_setinheritsched pthread_attr_setschedparam pthread_attr_setschedpolicy pthread_attr_setstack
  pthread_attr_setstacksize pthread_cancel pthread_cond_broadcast pthread_cond_destroy pthread_cond_init
  pthread_cond_signal pthread_cond_timedwait pthread_cond_wait pthread_condattr_init pthread_condattr_setpshared
  pthread_create pthread_detach pthread_exit pthread_getaffinity_np pthread_getspecific pthread_join
  pthread_key_create pthread_key_delete pthread_kill pthread_mutex_destroy pthread_mutex_init pthread_mutex_lock
  pthread_mutex_unlock pthread_mutexattr_destroy pthread_mutexattr_init pthread_mutexattr_setpshared
  pthread_mutexattr_settype pthread_once pthread_rwlock_destroy pthread_rwlock_init pthread_rwlock_rdlock
  pthread_rwlock_timedrdlock pthread_rwlock_timedwrlock pthread_rwlock_unlock pthread_rwlock_wrlock
  pthread_rwlockattr_destroy pthread_rwlockattr_init pthread_rwlockattr_setpshared pthread_self
  pthread_setaffinity_np pthread_setspecific pthread_sigmask putchar puts pwrite pwrite64 qsort rand_r read
  readdir readlink readlinkat realloc realpath recv recvfrom recvmsg remove rewind rewinddir rmdir scandir
  scandir64 sched_get_priority_max sched_get_priority_min sched_getaffinity sched_getcpu sched_setaffinity
  sched_yield select sem_destroy sem_init sem_post sem_timedwait sem_trywait sem_wait send sendmsg sendto setenv
  setgrent setmntent setrlimit setsockopt shm_open shm_unlink shmat shmctl shmdt shmget sigaddset sigemptyset
  sigfillset signal sigprocmask sin sleep snprintf socket sprintf sqrt sscanf stderr stdin stdout stpcpy
  strcasecmp strcat strchr strcmp strcoll strcpy strcspn strdup strerror strerror_r strftime strlen strncasecmp
  strncat strncmp strncpy strnlen strpbrk strrchr strsep strspn strstr strtod strtok strtok_r strtol strtoll
  strtoul strtoull symlink syscall sysconf sysctl sysinfo syslog system time tolower toupper umask uname unlink
  usleep vfork vfprintf vsnprintf vsprintf vsyslog waitpid warn warnx write xdr_enum xdr_int
  `),
  arm64: words(`
  _IO_getc _IO_putc _ITM_deregisterTMCloneTable _ITM_registerTMCloneTable __assert_fail __cmsg_nxthdr
  __ctype_b_loc __cxa_atexit __cxa_finalize __errno_location __fxstat __fxstatat __getauxval __getdelim
  __gmon_start__ __isoc99_fscanf __isoc99_sscanf __longjmp_chk __progname_full __register_atfork __sched_cpualloc
  __sched_cpufree __sprintf_chk __stack_chk_fail __stack_chk_guard __xmknod __xstat __xstat64 _exit _setjmp abort
  access alphasort alphasort64 asprintf atof atoi bind bsearch calloc chmod chown clock_gettime close closedir
  connect creat dirfd dlclose dlerror dlopen dlsym dlvsym dup dup2 dup3 endmntent eventfd execl execle exit
  faccessat fclose fcntl fdopen fdopendir feof ferror fflush fgets fileno fopen fork fprintf fputc fputs fread
  free fscanf fseek fsync ftell ftruncate fwrite get_nprocs getegid getenv geteuid gethostbyname gethostname
  getline getmntent_r getpagesize getpeername getpid getrlimit getsockname getsockopt gettimeofday getuid
  gnu_get_libc_version htonl htons ioctl isalnum isalpha isspace kill listen localtime localtime_r lround lseek
  madvise malloc memalign memchr memcmp memcpy memmove memset mkdir mkfifo mkstemp mmap mmap64 modff mprotect
  munmap nanosleep nftw ntohl ntohs open open64 openat opendir pclose pipe poll popen pow pread pread64 printf
  program_invocation_name pthread_attr_init pthread_attr_setstack pthread_cond_broadcast pthread_cond_destroy
  pthread_cond_init pthread_cond_signal pthread_cond_timedwait pthread_cond_wait pthread_condattr_init
  pthread_condattr_setpshared pthread_create pthread_getaffinity_np pthread_getspecific pthread_join
  pthread_key_create pthread_key_delete pthread_kill pthread_mutex_destroy pthread_mutex_init pthread_mutex_lock
  pthread_mutex_unlock pthread_mutexattr_destroy pthread_mutexattr_init pthread_mutexattr_setpshared
  pthread_mutexattr_settype pthread_once pthread_rwlock_destroy pthread_rwlock_init pthread_rwlock_rdlock
  pthread_rwlock_timedrdlock pthread_rwlock_timedwrlock pthread_rwlock_unlock pthread_rwlock_wrlock
  pthread_rwlockattr_destroy pthread_rwlockattr_init pthread_rwlockattr_setpshared pthread_self
  pthread_setaffinity_np pthread_setspecific pthread_sigmask puts pwrite pwrite64 qsort read readdir readlink
  readlinkat realloc realpath recv recvfrom recvmsg remove rewind rewinddir rmdir scandir scandir64
  sched_get_priority_max sched_get_priority_min sched_getaffinity sched_getcpu sched_setaffinity sched_yield
  select sem_destroy sem_init sem_post sem_timedwait sem_trywait sem_wait send sendmsg sendto setenv setmntent
  setrlimit setsockopt shm_open shm_unlink sigaddset sigemptyset sigfillset signal sigprocmask sleep snprintf
  socket sprintf sscanf stderr stdout strcasecmp strcat strchr strcmp strcoll strcpy strcspn strdup strerror
  strerror_r strlen strncasecmp strncat strncmp strncpy strnlen strpbrk strrchr strsep strspn strstr strtod
  strtok_r strtol strtoll strtoul strtoull symlink syscall sysconf sysinfo syslog time toupper umask uname unlink
  usleep vfork vfprintf vprintf vsnprintf vsprintf waitpid warnx write
  `),
} as const;

/** Weak references, which are nothing where nobody has them. */
export const MAY_BE_ABSENT: readonly string[] = words(`
  __gmon_start__ _ITM_deregisterTMCloneTable _ITM_registerTMCloneTable _Jv_RegisterClasses
`);
