# At installation: the unit with the paths that it is installed for, the configuration where that prefix has it.
if(CMAKE_INSTALL_PREFIX STREQUAL "/usr")
  set(sysconfdir /etc)
  set(unitdir /lib/systemd/system)
  set(zshdir /usr/share/zsh/vendor-completions)
else()
  set(sysconfdir ${CMAKE_INSTALL_PREFIX}/etc)
  set(unitdir ${CMAKE_INSTALL_PREFIX}/lib/systemd/system)
  set(zshdir ${CMAKE_INSTALL_PREFIX}/share/zsh/site-functions)
endif()
set(bindir ${CMAKE_INSTALL_PREFIX}/${SLUICE_BINDIR})

configure_file(${SLUICE_PACKAGING}/systemd/sluiced.service.in ${SLUICE_MADE}/sluiced.service @ONLY)
# DESTDIR holds for absolute paths too.
file(INSTALL DESTINATION ${unitdir} TYPE FILE FILES
  ${SLUICE_MADE}/sluiced.service ${SLUICE_PACKAGING}/systemd/sluiced-check.socket ${SLUICE_PACKAGING}/systemd/sluiced-admin.socket)
file(INSTALL DESTINATION ${zshdir} TYPE FILE RENAME _sluicectl FILES ${SLUICE_MADE}/completion.zsh)
# A configuration that is there already is the operator's.
if(NOT EXISTS "$ENV{DESTDIR}${sysconfdir}/sluice/sluiced.yaml")
  file(INSTALL DESTINATION ${sysconfdir}/sluice TYPE FILE FILES ${SLUICE_PACKAGING}/sluiced.yaml)
endif()
