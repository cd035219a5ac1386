import Kernels
import Network
import Testing

/// The oracle has an oracle: its gradients are those that differences of its own loss show.
@Suite struct DenseReferenceTests {
  @Test(arguments: DenseFixture.networks)
  func `gradients agree with central differences of the loss`(_ network: String) throws {
    let plan = try DenseFixture.plan(network, form: "auto")
    var reference = DenseNetworkReference(plan: plan, seed: 3)
    let rows = 4
    let features = DenseFixture.numbers(rows * plan.features).map(Double.init)
    let labels = DenseFixture.labels(rows, classes: plan.classes, padding: 1)
    let pass = DensePass(training: true, step: 2, examples: 3)
    let result = reference.run(pass, features: features, labels: labels)
    // Mean loss over 3; central differences of a smooth function are good to about h^2.
    let h = 1e-5
    func slope(_ loss: (Double) -> Double) -> Double { (loss(h) - loss(-h)) / (2 * h) / 3 }

    for index in features.indices {
      let measured = slope { shift in
        var moved = features
        moved[index] += shift
        return reference.run(pass, features: moved, labels: labels).lossSum
      }
      #expect((measured - result.featureGradient[index]).magnitude < 1e-8)
    }
    for (name, gradient) in result.gradients {
      for index in gradient.indices {
        let start = try #require(reference.parameters[name]?[index])
        let measured = slope { shift in
          reference.parameters[name]?[index] = start + shift
          return reference.run(pass, features: features, labels: labels).lossSum
        }
        reference.parameters[name]?[index] = start
        #expect((measured - gradient[index]).magnitude < 1e-8, "\(name)[\(index)]")
      }
    }
  }

  @Test func `a hand-computed layer`() {
    // y = [1 2; 3 4] [5 6]^T + [1 -1]
    let y = DenseReference.forward([5, 6], weight: [1, 2, 3, 4], bias: [1, -1], inputs: 2)
    #expect(y == [18, 38])
    let back = DenseReference.backward(
      [5, 6], weight: [1, 2, 3, 4], outputGradient: [1, 10], inputs: 2, outputs: 2)
    #expect(back.input == [31, 42])
    #expect(back.weight == [5, 6, 50, 60])
    #expect(back.bias == [1, 10])
  }
}
