#!/usr/bin/env bash
# pin.sh NAME…: write NAME.sha256 anew from NAME.pom.xml: every file that Maven resolves, below Maven Central, and its
# digest. Takes Maven.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
jars=$(mktemp -d)
trap 'rm -rf "$jars"' EXIT
for name; do
  mvn --quiet --batch-mode --file "$name.pom.xml" \
    org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies \
    -DincludeScope=runtime -Dmdep.useRepositoryLayout=true -DoutputDirectory="$jars/$name"
  (cd "$jars/$name" && find . -name '*.jar' -printf '%P\n' | LC_ALL=C sort | xargs sha256sum) >"$name.sha256"
done
