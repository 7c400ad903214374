# Before the package is closed: what Debian's policy wants of its files, and a plain installation does not do.
set(root ${CPACK_TEMPORARY_DIRECTORY})
set(doc ${root}/usr/share/doc/sluice)
configure_file(${CMAKE_CURRENT_LIST_DIR}/copyright ${doc}/copyright COPYONLY)

# The time is $SOURCE_DATE_EPOCH's, where that is set: the same sources make the same package.
string(TIMESTAMP date "%a, %d %b %Y %H:%M:%S +0000" UTC)
file(WRITE ${doc}/changelog "sluice (${CPACK_PACKAGE_VERSION}) bookworm; urgency=medium

  * What changed is in the history of the sources.

 -- ${CPACK_PACKAGE_CONTACT}  ${date}
")
file(GLOB_RECURSE pages ${root}/usr/share/man/*)
execute_process(COMMAND gzip -9nf ${pages} ${doc}/changelog COMMAND_ERROR_IS_FATAL ANY)
