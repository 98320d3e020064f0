package faults

// All is every fault of this package.
func All() Catalogue {
	return Catalogue{
		restartDefinition,
		killDefinition,
		expireDefinition,
		flushDefinition,
		networkDefinitions[0],
		networkDefinitions[1],
		networkDefinitions[2],
		networkDefinitions[3],
		networkDefinitions[4],
		networkDefinitions[5],
		slowSourceDefinition,
		delayDefinition,
		splitDefinition,
		shamDefinition,
	}
}
